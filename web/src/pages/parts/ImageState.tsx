/** How far an image is, and why it failed. */
import { type Image, imagePhase, unmet } from "~/api/objects";
import { Phase } from "~/design/basics";

export function ImageState({ image }: { image: Image }) {
  const said = unmet(image.status?.conditions).find((c) => c.message)?.message;
  const phase = imagePhase(image);
  return (
    <span className="flex items-center gap-2 min-w-0" title={said}>
      <Phase phase={phase} />
      {image.status?.progress && phase !== "ready" ? <span className="text-xs text-muted truncate">{Math.round(image.status.progress.fraction * 100)} %</span> : null}
      {phase === "failed" && said ? <span className="text-xs text-bad truncate">{said}</span> : null}
    </span>
  );
}
