/** What surrounds every page: the way to the others, the state of the link, who is signed in. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { arrive } from "../store/arrival";
import { status } from "../store/cluster";
import { isStale, link } from "../store/link";
import { href, route } from "../store/route";
import { may, me, seesNothing, signOut } from "../store/session";
import { theme, type Theme } from "../store/theme";
import { OfflineBanner } from "./Banner";
import { IconButton } from "./Button";
import { Choice } from "./Field";
import { Icon, Logo, type IconName } from "./Icon";
import { sinceTold } from "./Live";
import { useShared } from "../store/polled";

interface Place {
  page: string;
  name: string;
  icon: IconName;
  scope?: "submit" | "admin";
}

export const PLACES: Place[] = [
  { page: "overview", name: "Overview", icon: "overview" },
  { page: "tasks", name: "Tasks", icon: "tasks" },
  { page: "nodes", name: "Nodes", icon: "nodes" },
  { page: "events", name: "Events", icon: "events" },
  { page: "policy", name: "Policy", icon: "policy" },
  { page: "webhooks", name: "Webhooks", icon: "webhooks" },
  { page: "keys", name: "API keys", icon: "keys", scope: "admin" },
];
/** On a phone the others are behind "More". */
const TABS = 4;

export function Shell({ children }: { children: ComponentChildren }) {
  useShared(status);
  const isOpen = useSignal(false);
  const main = useRef<HTMLElement>(null);
  const more = useRef<HTMLButtonElement>(null);
  const closeMore = () => {
    isOpen.value = false;
    more.current?.focus();
  };
  const places = seesNothing.value ? [] : PLACES.filter(({ scope }) => !scope || may(scope));
  const { page, id } = route.value;
  const seen = useRef(`${page}/${id}`);
  useEffect(() => {
    isOpen.value = false;
    const here = `${page}/${id}`;
    if (seen.current === here) return;
    seen.current = here;
    // Another page begins at its top, for eyes and for readers.
    scrollTo(0, 0);
    arrive(main.current);
  }, [page, id]);

  return (
    <div class={link.value === "offline" ? "shell is-stale" : "shell"}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <nav class="side" aria-label="Pages">
        <Brand />
        <ul>
          {places.map((place) => (
            <NavItem key={place.page} place={place} here={page} />
          ))}
        </ul>
        <div class="side-foot">
          <Foot />
        </div>
      </nav>
      <header class="top">
        <Brand />
        <LinkState />
      </header>
      <OfflineBanner />
      <p class="for-readers" role="status">
        {status.isOld.value && !isStale.value ? `Figures are not live: ${sinceTold(status)}` : ""}
      </p>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
      <nav class="tabs" aria-label="Pages">
        {places.slice(0, TABS).map(({ page: to, name, icon }) => (
          <a key={to} href={href(to)} aria-current={to === page ? "page" : undefined}>
            <Icon name={icon} size={21} />
            {name}
          </a>
        ))}
        <button ref={more} type="button" aria-expanded={isOpen.value} class={places.slice(TABS).some((place) => place.page === page) ? "on" : ""} onClick={() => (isOpen.value = !isOpen.value)}>
          <Icon name="more" size={21} />
          More
        </button>
      </nav>
      {isOpen.value && <More places={places.slice(TABS)} close={closeMore} />}
    </div>
  );
}

function Brand() {
  return (
    <a class="brand" href={href("overview")}>
      <Logo size={26} />
      Downdraft
    </a>
  );
}

function NavItem({ place, here }: { place: Place; here: string }) {
  return (
    <li>
      <a href={href(place.page)} aria-current={place.page === here ? "page" : undefined}>
        <Icon name={place.icon} size={18} />
        {place.name}
      </a>
    </li>
  );
}

const LINK_WORDS = { live: "Live", connecting: "Connecting …", offline: "Offline" };

function LinkState() {
  if (seesNothing.value) return null;
  // The gateway is heard, but it does not hear the cluster itself.
  const isCut = link.value === "live" && status.isOld.value;
  return (
    <span class={`link-state ${isCut ? "connecting" : link.value}`}>
      <i />
      {isCut ? "Not live" : LINK_WORDS[link.value]}
    </span>
  );
}

function Foot() {
  const who = me.value;
  return (
    <>
      <LinkState />
      <Choice label="Colours" value={theme.value} onValue={(chosen: Theme) => (theme.value = chosen)} options={THEMES} />
      <div class="who">
        <span class="who-name">
          <span class="clip" title={who?.owner}>
            {who?.owner ?? "…"}
          </span>
          <small class="quieter">{roleOf()}</small>
        </span>
        <IconButton icon="signOut" label="Sign out" onClick={signOut} />
      </div>
      <p class="about quieter">
        <a href="./docs">HTTP reference</a> · <a href="./licences.txt">Licences</a>
        {status.data.value && <span>Version {status.data.value.version}</span>}
      </p>
    </>
  );
}

function roleOf(): string {
  if (!me.value) return "";
  return may("admin") ? "administrator" : may("submit") ? "may submit" : "may look";
}

const THEMES: [Theme, ComponentChildren][] = [
  ["light", <ThemeIcon key="light" name="sun" word="Light" />],
  ["system", <ThemeIcon key="system" name="system" word="As the system" />],
  ["dark", <ThemeIcon key="dark" name="moon" word="Dark" />],
];

function ThemeIcon({ name, word }: { name: IconName; word: string }) {
  return (
    <span title={word}>
      <Icon name={name} size={16} />
      <span class="for-readers">{word}</span>
    </span>
  );
}

/** On a phone: the other pages, over this one. The focus stays inside. */
function More({ places, close }: { places: Place[]; close: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const all = () => [...(box.current?.querySelectorAll<HTMLElement>("a, button, input:checked") ?? [])];
    all()[0]?.focus();
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") close();
      const [first, last] = [all()[0], all().at(-1)];
      if (event.key !== "Tab" || document.activeElement !== (event.shiftKey ? first : last)) return;
      event.preventDefault();
      (event.shiftKey ? last : first)?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class="more-ground" onClick={(event) => event.target === event.currentTarget && close()}>
      <div class="more-sheet" ref={box} role="dialog" aria-modal="true" aria-label="More pages">
        <ul>
          {places.map((place) => (
            <NavItem key={place.page} place={place} here={route.value.page} />
          ))}
        </ul>
        <div class="more-foot">
          <Foot />
        </div>
      </div>
    </div>
  );
}
