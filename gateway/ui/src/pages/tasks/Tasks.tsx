/** All tasks: found, watched, and steered many at a time. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { AddButton } from "../../parts/AddDialog";
import { Button } from "../../parts/Button";
import { PageHead } from "../../parts/Card";
import { Command } from "../../parts/Copy";
import { Empty, Failure, Skeleton } from "../../parts/Empty";
import { plural } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { VirtualRows } from "../../parts/VirtualRows";
import { now } from "../../store/clock";
import { changes, listen, resync } from "../../store/live";
import { ask, route } from "../../store/route";
import { may } from "../../store/session";
import { listOf, type TaskList } from "../../store/tasklist";
import { BulkBar } from "./BulkBar";
import { FilterBar } from "./FilterBar";
import { isFiltered, queryOf } from "./filters";
import { clearSelection, selectMany, selection } from "./selection";
import { TaskRow } from "./TaskRow";
import "./tasks.css";

const ROW_PX = 60;
const CARD_PX = 112;
/** What is new comes in so often at most. */
const REFRESH_MS = 1500;
const NARROW = matchMedia("(max-width: 760px)");

export function Tasks(_: { id: string }) {
  const { query } = route.value;
  const asked = query.toString();
  // It is asked for at once: effects come after what is drawn meanwhile.
  const list = useMemo(() => listOf(asked, queryOf(query)), [asked]);
  const isNarrow = useSignal(NARROW.matches);
  const isAtTop = useRef(true);
  useEffect(() => {
    const fit = () => (isNarrow.value = NARROW.matches);
    NARROW.addEventListener("change", fit);
    return () => NARROW.removeEventListener("change", fit);
  }, []);
  useEffect(() => {
    clearSelection();
    return () => list.close();
  }, [list]);
  useKeepingUp(list, isAtTop);

  const version = list.version.value;
  const maySteer = may("submit");
  const between = useMemo(() => list.between.bind(list), [list]);
  const rowPx = isNarrow.value ? CARD_PX : ROW_PX;
  const isFirst = !list.length && list.isLoading.value;
  // A row to come shows that there is more.
  const rows = list.length + (list.isWhole || isFirst ? 0 : 1);
  return (
    <>
      <PageHead title="Tasks">
        <AddButton />
      </PageHead>
      <FilterBar />
      {list.length > 0 && <Gap list={list} />}
      {list.news.value > 0 && !list.problem.value && (
        <button type="button" class="news" onClick={() => (scrollTo({ top: 0 }), void list.restart())}>
          <Icon name="arrowUp" size={15} />
          {plural(list.news.value, "change")} above
        </button>
      )}
      <section class="card task-table" {...(list.length ? { role: "table", "aria-rowcount": list.isWhole ? list.length + 1 : -1 } as const : {})} aria-label="Tasks" aria-busy={list.isLoading.value}>
        {list.length > 0 && <Head list={list} maySteer={maySteer} />}
        {isFirst ? (
          <div class="padded" role="presentation">
            <Skeleton lines={8} />
          </div>
        ) : list.length ? (
          <VirtualRows
            count={rows}
            rowHeight={rowPx}
            version={version}
            onShow={(first, last) => {
              isAtTop.current = first === 0;
              void list.show(first, last);
            }}
            row={(index) => {
              const task = list.row(index);
              return <TaskRow key={task?.task ?? `#${index}`} {...{ task, index, version, maySteer, between }} />;
            }}
          />
        ) : (
          <Nothing list={list} />
        )}
      </section>
      {maySteer && <BulkBar known={list.length} isWhole={list.isWhole} />}
    </>
  );
}

/** Rows change as things happen; the list itself is read again while its top is in view, and told of otherwise. */
function useKeepingUp(list: TaskList, isAtTop: { current: boolean }): void {
  const isOther = useRef(0);
  useEffect(
    () =>
      listen((events) => {
        if (list.take(events)) isOther.current += events.length;
      }),
    [list],
  );
  const news = changes.value;
  useEffect(() => list.tell(), [list, news]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!isOther.current || document.hidden) return;
      // While some are chosen, or a menu is open, nothing moves under the pointer.
      const isBusy = selection.peek().ids.size > 0 || document.querySelector(".task-table [aria-expanded=true]");
      const isUpdated = isAtTop.current && scrollY < 200 && !isBusy;
      if (isUpdated) void list.restart();
      else list.news.value += isOther.current;
      isOther.current = 0;
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [list]);
  const gap = resync.value;
  const seen = useRef(gap);
  useEffect(() => {
    if (seen.current === gap) return;
    seen.current = gap;
    void list.restart();
  }, [gap, list]);
}

function Head({ list, maySteer }: { list: TaskList; maySteer: boolean }) {
  const { ids, all } = selection.value;
  const isEvery = all || (ids.size > 0 && ids.size >= list.length);
  const chooseAll = (on: boolean) => {
    const known: string[] = [];
    for (let index = 0; index < list.length; index += 1) {
      const task = list.row(index);
      if (task) known.push(task.task);
    }
    selectMany(known, on);
  };
  return (
    <div role="rowgroup">
      <div class="task-row task-head" role="row" aria-rowindex={1}>
        {maySteer && (
          <span role="columnheader" class="cell-check">
            <input type="checkbox" aria-label="Choose all that are loaded" checked={isEvery} onChange={(event) => chooseAll(event.currentTarget.checked)} />
          </span>
        )}
        <span role="columnheader">Name</span>
        <span role="columnheader">State</span>
        <span role="columnheader">Progress</span>
        <span role="columnheader" class="cell-speed">
          Speed
        </span>
        <span role="columnheader" class="cell-eta">
          Time left
        </span>
        <span role="columnheader" class="cell-node">
          Node
        </span>
        <span role="columnheader" class="cell-time">
          When
        </span>
        <span role="columnheader">
          <span class="for-readers">Actions</span>
        </span>
      </div>
    </div>
  );
}

/** A part of it could not be read: what is known stays, and it is tried again. */
function Gap({ list }: { list: TaskList }) {
  const problem = list.problem.value;
  const waitS = Math.ceil((list.retryAt - now.value) / 1000);
  if (!problem) return null;
  return (
    <div class="list-gap">
      <Icon name="warning" size={17} />
      <p>
        <span role="alert">Not all of the list could be read: {problem.message}</span>{" "}
        <span aria-hidden="true">{waitS > 0 ? `Trying again in ${waitS} s.` : "Trying again …"}</span>
      </p>
      <Button small onClick={() => list.tryNow()}>
        Try now
      </Button>
    </div>
  );
}

function Nothing({ list }: { list: TaskList }) {
  const problem = list.problem.value;
  if (problem) return <Failure problem={problem} retry={() => void list.restart()} />;
  if (isFiltered(route.value.query)) {
    return (
      <Empty icon="search" title="No task matches">
        <p>Nothing is in that state, or fits the search and the filters.</p>
        <button type="button" class="button plain small" onClick={() => ask((query) => [...query.keys()].forEach((name) => query.delete(name)))}>
          Show all tasks
        </button>
      </Empty>
    );
  }
  return (
    <Empty icon="download" title="No task yet">
      <p>Add the first download here, or from a terminal:</p>
      <Command text="downdraft submit https://example.org/file.iso" />
      <AddButton />
    </Empty>
  );
}
