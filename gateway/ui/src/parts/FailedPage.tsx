/** A page that could not be read: it says which it is, all the same. */
import type { ComponentChildren } from "preact";
import type { Problem } from "../api/client";
import { Card, PageHead } from "./Card";
import { Failure } from "./Empty";

export function FailedPage({ title, problem, retry }: { title: ComponentChildren; problem: Problem; retry: () => void }) {
  return (
    <>
      <PageHead title={title} />
      <Card>
        <Failure problem={problem} retry={retry} />
      </Card>
    </>
  );
}
