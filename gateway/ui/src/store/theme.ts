/** Light, dark, or as the system has it. */
import { computed, effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const NAME = "downdraft.theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function kept(): Theme {
  const found = localStorage.getItem(NAME);
  return found === "light" || found === "dark" ? found : "system";
}

export const theme = signal<Theme>(kept());
const prefersDark = signal(systemIsDark.matches);
systemIsDark.addEventListener("change", (event) => {
  prefersDark.value = event.matches;
});
/** What is shown now: graphs are drawn anew when it changes. */
export const isDark = computed(() => (theme.value === "system" ? prefersDark.value : theme.value === "dark"));

effect(() => {
  const chosen = theme.value;
  if (chosen === "system") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(NAME);
  } else {
    document.documentElement.dataset["theme"] = chosen;
    localStorage.setItem(NAME, chosen);
  }
});
