import type { Application } from "../../ffi/messages.ts";
import type { TemplateCard } from "./templates.ts";

/** A template with all that comes of it. */
export interface Descent {
  name: string;
  /** False for one that others come of, and that is not there any more. */
  there: boolean;
  generation?: number;
  application?: string;
  snapshot?: string;
  /** Templates of clones of it. */
  templates: Descent[];
  /** Its clones that run. */
  clones: { aid: string; name: string; pid?: number }[];
}

/**
 * Which template comes of which, with the clones that run. Names tell: of a template that was removed and made anew, both
 * have the same. Every template and every clone is in it once.
 */
export function lineageOf(
  templates: readonly TemplateCard[],
  applications: readonly Application[],
): Descent[] {
  const running = applications.filter((one) => one.state === "running");
  const cards = new Map(templates.map((card) => [card.name, card]));
  const parents = new Set(templates.flatMap(({ parent }) => parent ?? []));
  const origins = running.flatMap(({ origin }) => origin?.template ?? []);
  const names = [...new Set([...cards.keys(), ...parents, ...origins])].sort();
  const seen = new Set<string>();
  const descend = (name: string): Descent => {
    seen.add(name);
    const own = names.filter((child) => cards.get(child)?.parent === name && !seen.has(child));
    return {
      name,
      there: cards.has(name),
      ...pick(cards.get(name)),
      templates: own.flatMap((child) => seen.has(child) ? [] : [descend(child)]),
      clones: running.filter(({ origin }) => origin?.template === name).map(clone).sort(byName),
    };
  };
  const roots = names.filter((name) => cards.get(name)?.parent === undefined).map(descend);
  // Where a name was given twice, templates may seem to come of each other.
  const circular = names.flatMap((name) => seen.has(name) ? [] : [descend(name)]);
  return [...roots, ...circular];
}

function pick(card?: TemplateCard): Partial<Descent> {
  if (card === undefined) return {};
  const { generation, application, snapshot } = card;
  return {
    generation,
    ...(application !== undefined && { application }),
    ...(snapshot !== undefined && { snapshot }),
  };
}

function clone({ aid, name, pid }: Application): Descent["clones"][number] {
  return { aid, name, ...(pid !== undefined && { pid }) };
}

function byName(one: { name: string }, other: { name: string }): number {
  return one.name.localeCompare(other.name);
}
