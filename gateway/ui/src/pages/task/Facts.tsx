/** What was asked for, and what came of it. */
import type { ComponentChildren } from "preact";
import type { Task } from "../../api/types";
import { Card } from "../../parts/Card";
import { CopyText } from "../../parts/Copy";
import { bytes, dateTime, speed } from "../../parts/format";
import { Tags } from "../../parts/Tags";
import { href } from "../../store/route";
import { OneFileButton } from "./FileButton";

export function Facts({ task }: { task: Task }) {
  const labels = Object.entries(task.labels).map(([name, value]) => (value ? `${name}=${value}` : name));
  return (
    <>
      <Card title="Details">
        <dl class="facts">
          <Fact name={task.uris.length > 1 ? `Addresses (${task.uris.length})` : "Address"}>
            {task.uris.length ? (
              <ul class="uris">
                {task.uris.map((uri) => (
                  <li key={uri}>
                    <CopyText text={uri} what="the address" />
                  </li>
                ))}
              </ul>
            ) : (
              "–"
            )}
          </Fact>
          <Fact name="Task id">
            <CopyText text={task.task} what="the id" />
          </Fact>
          {task.path && (
            <Fact name="Stored as">
              <CopyText text={task.path} what="the path" />
            </Fact>
          )}
          {task.digest && (
            <Fact name="Digest">
              <CopyText text={task.digest} what="the digest" />
            </Fact>
          )}
          <Fact name="Owner">
            <a href={href("tasks", "", new URLSearchParams({ owner: task.owner }))}>{task.owner}</a>
          </Fact>
          {task.submitted && <Fact name="Submitted">{dateTime(task.submitted)}</Fact>}
          {task.finished && <Fact name="Ended">{dateTime(task.finished)}</Fact>}
          {task.not_before && <Fact name="Not before">{dateTime(task.not_before)}</Fact>}
          {task.deadline && <Fact name="Deadline">{dateTime(task.deadline)}</Fact>}
          <Fact name="Priority">{task.priority}</Fact>
          <Fact name="Attempts">
            {task.attempt}
            {task.failures > 0 && `, of which ${task.failures} failed`}
          </Fact>
          {task.download_limit ? <Fact name="Speed limit">{speed(task.download_limit)}</Fact> : null}
          {task.tags.length > 0 && (
            <Fact name="Only nodes with">
              <Tags tags={task.tags} hrefOf={(tag) => href("tasks", "", new URLSearchParams({ tag }))} />
            </Fact>
          )}
          {task.avoid_tags.length > 0 && (
            <Fact name="No nodes with">
              <Tags tags={task.avoid_tags} />
            </Fact>
          )}
          {task.prefer_tags.length > 0 && (
            <Fact name="Rather nodes with">
              <Tags tags={task.prefer_tags} />
            </Fact>
          )}
          {labels.length > 0 && (
            <Fact name="Labels">
              <Tags tags={labels} hrefOf={(label) => href("tasks", "", new URLSearchParams({ label }))} />
            </Fact>
          )}
          {task.retry_of && (
            <Fact name="Tried again from">
              <a class="mono" href={href("tasks", task.retry_of)}>
                {task.retry_of}
              </a>
            </Fact>
          )}
        </dl>
      </Card>
      {task.files.length > 0 && <Files task={task} />}
      {task.mirrors.length > 0 && <Mirrors task={task} />}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt class="quieter">{name}</dt>
      <dd class="breakable">{children}</dd>
    </div>
  );
}

function Files({ task }: { task: Task }) {
  return (
    <Card title="Files" aside={task.files.length + task.files_cut} flush>
      <ul class="lines">
        {task.files.map((file) => (
          <li key={file.path}>
            <span class="breakable mono">{file.path}</span>
            <span class="line-end">
              <span class="quiet number">{bytes(file.bytes)}</span>
              <OneFileButton task={task.task} path={file.path} />
            </span>
          </li>
        ))}
        {task.files_cut > 0 && <li class="quieter">and {task.files_cut} more</li>}
      </ul>
    </Card>
  );
}

function Mirrors({ task }: { task: Task }) {
  return (
    <Card title="What each address gave" flush>
      <ul class="lines">
        {task.mirrors.map((mirror) => (
          <li key={mirror.uri}>
            <span class="breakable">
              {mirror.uri}
              {mirror.problem && <small class="bad-text"> {mirror.problem}</small>}
            </span>
            <span class="quiet number">{mirror.bytes == null ? "" : bytes(mirror.bytes)}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
