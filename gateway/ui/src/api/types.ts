/** Names for what the gateway answers. Everything stems from the generated `schema.d.ts`. */
import type { components, paths } from "./schema";

type Shapes = components["schemas"];

/** Answers carry every field, those at their defaults included. */
export type Task = Required<Shapes["TaskNow"]>;
export type TaskPage = { tasks: Task[]; after: string };
export type TaskEvent = Shapes["TaskTold"]["events"] extends (infer Each)[] | undefined ? Each : never;
export type TaskTold = { task: Task; events: TaskEvent[] };
export type Verdict = Required<Shapes["NodeVerdict"]>;
export type Explained = Required<Omit<Shapes["ExplainReply"], "nodes">> & { nodes: Verdict[] };
export type Status = Required<Omit<Shapes["Status"], "nodes">> & { nodes: Required<Shapes["NodesStatus"]> };
export type Heartbeat = Shapes["Heartbeat"];
export type NodeNow = Required<Shapes["NodeView"]>;
export type UnheardNode = Required<Shapes["UnheardNode"]>;
export type NodesNow = { nodes: NodeNow[]; unheard: UnheardNode[] };
export type NodeSample = Required<Shapes["NodeSample"]>;
export type NodePatch = Shapes["NodePatch"];
export type PolicyNow = Required<Shapes["PolicyReply"]>;
export type Action = Shapes["Action"];
export type ActionDone = Required<Shapes["ActionDone"]>;
export type Verb = Shapes["Verb"];
export type TaskFilter = Shapes["TaskFilter"];
export type TaskChange = Shapes["TaskChange"];
export type DownloadRequest = Shapes["Request"];
export type AllowedOption = Required<Shapes["AllowedOption"]>;
export type BatchResult = Shapes["BatchResult"];
export type Webhook = Required<Shapes["WebhookView"]>;
export type NewWebhook = Shapes["NewWebhook"];
export type WebhookChange = Shapes["WebhookChange"];
export type ApiKey = Required<Shapes["KeyView"]>;
export type NewKey = Shapes["NewKey"];
export type Me = Required<Shapes["Me"]>;
export type Scope = Shapes["Scope"];
export type ProblemDocument = Shapes["Problem"];
export type TaskQuery = NonNullable<paths["/api/v1/tasks"]["get"]["parameters"]["query"]>;
export type Standing = Shapes["Standing"];

/**
 * What a node says of a running transfer about once a second, as the event stream passes it on. Written by hand, as
 * `Progress` in schemas/heartbeat.py has it: the OpenAPI document does not tell what is in the stream.
 */
export interface Progress {
  task: string;
  attempt: number;
  node: string;
  bytes_done: number;
  bytes_total: number;
  bytes_per_s: number;
  connections?: number;
  phase?: string;
}
