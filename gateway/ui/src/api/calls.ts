/** Every call that the page makes. They throw Problem. */
import { api, told } from "./client";
import type {
  ApiKey,
  Action,
  AllowedOption,
  ActionDone,
  BatchResult,
  DownloadRequest,
  Explained,
  NodePatch,
  NodeSample,
  NodesNow,
  NewKey,
  NewWebhook,
  PolicyNow,
  Status,
  TaskChange,
  TaskPage,
  TaskQuery,
  TaskTold,
  Webhook,
  WebhookChange,
} from "./types";
import type { components } from "./schema";

const of = (task: string) => ({ params: { path: { task } } });
const on = (node: string) => ({ params: { path: { node } } });

export const status = () => told(api.GET("/api/v1/status")) as Promise<Status>;

export const tasks = (query: TaskQuery, signal?: AbortSignal) =>
  told(api.GET("/api/v1/tasks", { params: { query }, signal })) as Promise<TaskPage>;
/** `sort`, `limit` and `after` mean nothing to it. */
export const countTasks = async (where: TaskQuery) => {
  const { sort: _sort, limit: _limit, after: _after, ...query } = where;
  return (await told(api.GET("/api/v1/tasks/count", { params: { query } }))).count;
};
export const task = (id: string) => told(api.GET("/api/v1/tasks/{task}", of(id))) as Promise<TaskTold>;
export const explain = (id: string) => told(api.GET("/api/v1/tasks/{task}/explain", of(id))) as Promise<Explained>;
export const allowedOptions = () => told(api.GET("/api/v1/options")) as Promise<{ options: AllowedOption[] }>;
export const pause = (id: string) => told(api.POST("/api/v1/tasks/{task}/pause", of(id)));
export const resume = (id: string) => told(api.POST("/api/v1/tasks/{task}/resume", of(id)));
export const retry = (id: string) => told(api.POST("/api/v1/tasks/{task}/retry", of(id)));
export const change = (id: string, body: TaskChange) =>
  told(api.PATCH("/api/v1/tasks/{task}", { ...of(id), body: body as Required<TaskChange> }));
/** `keepalive`: it is sent even where the page is being left. */
export const act = (action: Action, keepalive = false) =>
  told(api.POST("/api/v1/tasks/actions", { body: action as Required<Action>, keepalive })) as Promise<ActionDone>;

/** An address for the browser to download from. `path`: which of several files. */
export const linkFile = (id: string, path?: string) =>
  told(api.POST("/api/v1/tasks/{task}/file/link", { params: { path: { task: id }, query: { path } } }));

/** Always a list: what is refused keeps back no other. */
export const submit = (requests: DownloadRequest[], repeatKey: string) =>
  told(
    api.POST("/api/v1/tasks", {
      params: { header: { "Idempotency-Key": repeatKey } },
      body: requests as Required<DownloadRequest>[],
    }),
  ) as Promise<unknown> as Promise<BatchResult>;

export const nodes = () => told(api.GET("/api/v1/nodes")) as Promise<NodesNow>;
export const nodeHistory = (id: string) => told(api.GET("/api/v1/nodes/{node}/history", on(id))) as Promise<{ samples: NodeSample[] }>;
export const cordon = (id: string, reason: string) =>
  told(api.POST("/api/v1/nodes/{node}/cordon", { ...on(id), body: { reason } }));
export const uncordon = (id: string) => told(api.POST("/api/v1/nodes/{node}/uncordon", on(id)));
export const drain = (id: string, reason: string, now: boolean) =>
  told(api.POST("/api/v1/nodes/{node}/drain", { ...on(id), body: { reason, now } }));
export const changeNode = (id: string, body: NodePatch) =>
  told(api.PATCH("/api/v1/nodes/{node}", { ...on(id), body: body as Required<NodePatch> }));

export const policy = () => told(api.GET("/api/v1/policy")) as Promise<PolicyNow>;
export const putPolicy = (values: Record<string, unknown>, revision: number) =>
  told(
    api.PUT("/api/v1/policy", {
      params: { header: { "If-Match": `"${revision}"` } },
      body: values as Required<components["schemas"]["Policy"]>,
    }),
  ) as Promise<PolicyNow>;

export const webhooks = async () => (await told(api.GET("/api/v1/webhooks"))).webhooks as Webhook[];
export const makeWebhook = (body: NewWebhook) =>
  told(api.POST("/api/v1/webhooks", { body: body as Required<NewWebhook> })) as Promise<Webhook>;
export const changeWebhook = (id: string, body: WebhookChange) =>
  told(
    api.PATCH("/api/v1/webhooks/{webhook_id}", {
      params: { path: { webhook_id: id } },
      body: body as Required<WebhookChange>,
    }),
  ) as Promise<Webhook>;
export const deleteWebhook = (id: string) =>
  told(api.DELETE("/api/v1/webhooks/{webhook_id}", { params: { path: { webhook_id: id } } }));

export const keys = async (revoked: boolean) =>
  (await told(api.GET("/api/v1/keys", { params: { query: { revoked } } }))).keys as ApiKey[];
export const makeKey = (body: NewKey) =>
  told(api.POST("/api/v1/keys", { body: body as Required<NewKey> })) as Promise<ApiKey>;
export const revokeKey = (id: string) =>
  told(api.DELETE("/api/v1/keys/{key_id}", { params: { path: { key_id: id } } })) as Promise<ApiKey>;
