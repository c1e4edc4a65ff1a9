/** Tags and labels: as many as there is room for. */
import "./tags.css";

export function Tags({ tags, most = Infinity, hrefOf }: { tags: string[]; most?: number; hrefOf?: (tag: string) => string }) {
  const shown = tags.slice(0, most);
  const more = tags.slice(most);
  return (
    <ul class="tags">
      {shown.map((tag) => (
        <li key={tag} class="tag" title={tag}>
          {hrefOf ? <a href={hrefOf(tag)}>{tag}</a> : tag}
        </li>
      ))}
      {more.length > 0 && (
        <li class="tag more" title={more.join(", ")}>
          +{more.length}
        </li>
      )}
    </ul>
  );
}
