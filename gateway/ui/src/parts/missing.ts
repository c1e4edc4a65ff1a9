/** Who is missing where the gateway answers 503, which only its words tell, and what to do about it. Pure. */
import type { Problem } from "../api/client";

export type Missing = "coordinator" | "broker";

export function missingOf(problem: Problem | null): Missing | null {
  if (problem?.status !== 503) return null;
  if (problem.message.includes("coordinator")) return "coordinator";
  return problem.message.toLowerCase().includes("the broker is") ? "broker" : null;
}

interface Remedy {
  told: string;
  command: string;
}

export const REMEDIES: Record<Missing, Remedy> = {
  coordinator: { told: "Start one beside the broker:", command: "downdraft coordinator" },
  broker: { told: "Does nats-server run, and can the gateway’s machine reach it? Ask there:", command: "downdraft doctor" },
};
