/** The stable codes of native/crates/abi/src/fault.rs; docs/errors.md lists them with their exit codes. */
export type Code =
  | "other"
  | "usage"
  | "no_target"
  | "refused"
  | "host_lacks"
  | "not_permitted"
  | "image_damaged"
  | "image_too_new"
  | "restore_failed"
  | "restore_left"
  | "internal"
  | "interrupted";

/** The exit code of every stable code. */
export const EXIT_CODES: Readonly<Record<Code, number>> = {
  other: 1,
  usage: 2,
  no_target: 10,
  refused: 11,
  host_lacks: 12,
  not_permitted: 13,
  image_damaged: 20,
  image_too_new: 21,
  restore_failed: 30,
  restore_left: 31,
  internal: 70,
  interrupted: 130,
};

/** An error as it travels in a response: the fields that are absent have nothing to say. */
export interface Fault {
  code: Code;
  exit: number;
  message: string;
  hint?: string;
  aftermath?: string;
  causes?: string[];
}

/** What a fault made on this side of the boundary may say beside its code and message. */
export type FaultDetails = Partial<Pick<Fault, "hint" | "aftermath" | "causes">>;

/** The one error that commands throw and the terminal shows. */
export class StasisError extends Error {
  override readonly name = "StasisError";

  constructor(readonly fault: Fault) {
    super(fault.message);
  }

  /** An error that TypeScript found itself, in the same shape as one from the engine. */
  static of(code: Code, message: string, details: FaultDetails = {}): StasisError {
    return new StasisError({ code, exit: EXIT_CODES[code], message, ...details });
  }
}
