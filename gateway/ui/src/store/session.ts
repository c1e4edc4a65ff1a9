/** Who is signed in, and what they may do. */
import { computed, signal } from "@preact/signals";
import { api, Problem, problemOf } from "../api/client";
import type { Me, Scope } from "../api/types";
import { forgetKey, keepKey, key } from "./key";

export const me = signal<Me | null>(null);
export const isSignedIn = computed(() => key.value !== "");

export function may(scope: Scope): boolean {
  const scopes = me.value?.scopes;
  return scopes !== undefined && (scopes.includes("admin") || scopes.includes(scope));
}

/** There are keys for programs that only submit: they see nothing of the cluster, not even what they added. */
export const seesNothing = computed(() => me.value !== null && !may("read"));

/** Throws Problem where the key opens nothing. */
export async function signIn(shown: string): Promise<void> {
  const found = await whose(shown);
  me.value = found;
  keepKey(shown);
}

export function signOut(): void {
  me.value = null;
  forgetKey();
}

let recalling: Promise<void> | null = null;

/** After a reload: the key is still there. */
export function recall(): Promise<void> {
  return (recalling ??= recalled().finally(() => (recalling = null)));
}

async function recalled(): Promise<void> {
  if (!key.peek()) return;
  try {
    me.value = await whose(key.peek());
  } catch (error) {
    if (error instanceof Problem && error.status === 401) forgetKey(error.message);
    else throw error;
  }
}

async function whose(shown: string): Promise<Me> {
  const { data, error, response } = await api.GET("/api/v1/me", { headers: { "X-API-Key": shown } });
  if (!response.ok) throw problemOf(response, error);
  return data as Me;
}
