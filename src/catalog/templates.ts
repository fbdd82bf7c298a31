import { StasisError } from "../../ffi/error.ts";
import type { Environment, Home } from "../../ffi/messages.ts";
import { startOf } from "../process.ts";
import { isFolder, makePrivateFolder } from "./home.ts";
import { checkName } from "./names.ts";
import { linkTree, syncFolder, writeDurably } from "./tree.ts";

/** What a template's folder says about it, beside the image and the rules. */
export interface TemplateCard {
  name: string;
  /** ISO 8601. */
  created: string;
  /** The snapshot that it was made of. */
  snapshot?: string;
  /** The application in the snapshot; absent for a process tree. */
  application?: string;
  /** 1 for a template whose application was no clone, one more for each template in between. */
  generation: number;
  /** The template that the application was a clone of. */
  parent?: string;
  /** The virtual network environment that the application was in. */
  environment?: Environment;
}

export interface Template extends TemplateCard {
  /** The folder of the image, which `restore`, `inspect` and `verify` take. */
  image: string;
  /** The rules file, word for word; absent when it was made without one. */
  rules?: string;
  /** Where that lies, for messages. */
  rulesPath: string;
}

const CARD = "template.json";
const RULES = "rules.toml";
const IMAGE = "image";
/** In the image: what was captured of volumes. */
const VOLUMES = "volumes";
const PARTIAL = /^\.[a-z0-9_.-]+\.partial-(\d+)$/;

/** The folder that holds this user's templates. */
export function templatesOf(home: Home): string {
  return `${home.data}/templates`;
}

/** Every template, by name. What cannot be read is passed to `damaged`. */
export function listTemplates(home: Home, damaged: (name: string, why: string) => void): Template[] {
  const folder = templatesOf(home);
  if (!isFolder(folder)) return [];
  const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) =>
    !name.startsWith(".")
  );
  return names.sort().flatMap((name) => {
    try {
      return [readTemplate(home, name)];
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
      damaged(name, (error.fault.causes ?? [error.fault.message]).join(": "));
      return [];
    }
  });
}

/** The template of that name. */
export function findTemplate(home: Home, name: string): Template {
  requireTemplate(home, name);
  return readTemplate(home, name);
}

/** Ends with an error where no template has that name; one that is damaged has it, too. */
export function requireTemplate(home: Home, name: string): void {
  if (isFolder(`${templatesOf(home)}/${checkName(name)}`)) return;
  throw StasisError.of("no_target", `Could not find a template "${name}"`, {
    hint: '"stasis template ls" lists them; "stasis template create" makes one of a snapshot',
  });
}

/**
 * Makes a template of the image in `source`: a folder of its own, complete on its own, so that the snapshot may go. It is
 * there wholly or not at all: it takes its name once everything in it has reached the disk. `linkVolumes` brings along what was
 * captured of volumes.
 */
export async function createTemplate(
  home: Home,
  card: TemplateCard,
  source: string,
  rules?: string,
  linkVolumes?: (image: string) => Promise<unknown>,
): Promise<Template> {
  const folder = templatesOf(home);
  const target = `${folder}/${checkName(card.name)}`;
  if (isFolder(target)) throw nameTaken(card.name);
  makePrivateFolder(folder);
  sweep(folder);
  using draft = new Draft(folder, card.name);
  try {
    linkTree(source, draft.image, [VOLUMES]);
    await linkVolumes?.(draft.image);
    return draft.publish(home, card, rules);
  } catch (error) {
    if (isFolder(target)) throw nameTaken(card.name);
    throw failed(`create the template "${card.name}"`, error);
  }
}

/**
 * Opens a template that is not there yet: its image comes first, and its name when all is there. Disposing of it removes it,
 * and the next command does where this one is killed.
 */
export function draftTemplate(home: Home, name: string): Draft {
  const folder = templatesOf(home);
  if (isFolder(`${folder}/${checkName(name)}`)) throw nameTaken(name);
  makePrivateFolder(folder);
  sweep(folder);
  return new Draft(folder, name);
}

/** A template in the making. */
export class Draft implements Disposable {
  readonly folder: string;
  /** Where its image goes: a folder that is not there yet. */
  readonly image: string;

  constructor(readonly templates: string, readonly name: string) {
    this.folder = `${templates}/.${name}.partial-${Deno.pid}`;
    this.image = `${this.folder}/${IMAGE}`;
    try {
      Deno.mkdirSync(this.folder, { mode: 0o700 });
    } catch (error) {
      throw failed(`create the template "${name}"`, error);
    }
  }

  /** As a template to make clones of, while it has no name. */
  as(card: TemplateCard, rules?: string): Template {
    return templateAt(this.folder, card, rules);
  }

  /** The rules that are in it already. */
  rules(): string | undefined {
    return readIfThere(`${this.folder}/${RULES}`);
  }

  /** Gives it its name, once everything in it has reached the disk: it is there wholly or not at all. */
  publish(home: Home, card: TemplateCard, rules?: string): Template {
    if (rules !== undefined) writeDurably(`${this.folder}/${RULES}`, rules);
    const named = { ...card, name: this.name };
    writeDurably(`${this.folder}/${CARD}`, `${JSON.stringify(named, undefined, 2)}\n`);
    syncFolder(this.folder);
    Deno.renameSync(this.folder, `${this.templates}/${this.name}`);
    syncFolder(this.templates);
    return readTemplate(home, this.name);
  }

  [Symbol.dispose](): void {
    removeIfThere(this.folder);
  }
}

function templateAt(folder: string, card: TemplateCard, rules?: string): Template {
  const rulesPath = `${folder}/${RULES}`;
  return { ...card, image: `${folder}/${IMAGE}`, rulesPath, ...(rules !== undefined && { rules }) };
}

/** Removes a template, also one that is damaged. Clones that run need nothing of it. */
export function removeTemplate(home: Home, name: string): void {
  requireTemplate(home, name);
  const folder = templatesOf(home);
  // Under this name the next command removes it, should this one not come to it.
  const doomed = `${folder}/.${name}.partial-${Deno.pid}`;
  try {
    Deno.renameSync(`${folder}/${name}`, doomed);
    Deno.removeSync(doomed, { recursive: true });
  } catch (error) {
    throw failed(`remove the template "${name}"`, error);
  }
}

function readTemplate(home: Home, name: string): Template {
  const folder = `${templatesOf(home)}/${name}`;
  const card = readCard(`${folder}/${CARD}`, name);
  // The folder's name and not the card's: a template may be copied under another one.
  return templateAt(folder, { ...card, name }, readIfThere(`${folder}/${RULES}`));
}

function readCard(path: string, name: string): TemplateCard {
  const damaged = (cause: string) =>
    StasisError.of("image_damaged", `Could not read the template "${name}"`, {
      causes: [cause],
      hint: `"stasis template rm ${name}" removes what is left of it`,
    });
  const text = readIfThere(path);
  if (text === undefined) throw damaged(`there is no ${path}`);
  try {
    const card: unknown = JSON.parse(text);
    if (isCard(card)) return card;
  } catch {
    // Said below.
  }
  throw damaged(`${path} does not describe a template`);
}

/** A card that came from elsewhere; nothing else of what it says is kept. */
export function soundCard(value: unknown): TemplateCard | undefined {
  if (!isCard(value) || typeof value.name !== "string") return undefined;
  const { name, created, snapshot, application, generation, parent } = value;
  return {
    name,
    created,
    generation,
    ...(snapshot !== undefined && { snapshot }),
    ...(application !== undefined && { application }),
    ...(parent !== undefined && { parent }),
  };
}

function isCard(value: unknown): value is TemplateCard {
  if (typeof value !== "object" || value === null) return false;
  const card = value as Partial<Record<keyof TemplateCard, unknown>>;
  const optional = [card.snapshot, card.application, card.parent];
  return typeof card.created === "string" && Number.isInteger(card.generation) &&
    optional.every((one) => one === undefined || typeof one === "string");
}

/** What commands left that were killed; one whose maker lives stays. */
function sweep(folder: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    const maker = PARTIAL.exec(name)?.[1];
    const ours = Number(maker) === Deno.pid;
    if (maker !== undefined && (ours || startOf(Number(maker)) === undefined)) {
      removeIfThere(`${folder}/${name}`);
    }
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw failed(`read "${path}"`, error);
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw failed(`remove "${path}"`, error);
  }
}

function nameTaken(name: string): StasisError {
  return StasisError.of("usage", `Could not create the template "${name}"`, {
    causes: ["there is a template of this name"],
    hint: `Choose another --name, or remove it first: stasis template rm ${name}`,
  });
}

function failed(what: string, error: unknown): StasisError {
  if (error instanceof StasisError) return error;
  const denied = error instanceof Deno.errors.PermissionDenied;
  return StasisError.of(denied ? "not_permitted" : "other", `Could not ${what}`, {
    causes: [error instanceof Error ? error.message : String(error)],
  });
}
