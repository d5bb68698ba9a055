/** Promises of which there may be none: what needs no wait is done without one. */

export const isPromise = <Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function'

/** Ends when all have ended; undefined when there are none. */
export function allOf(promises: readonly (PromiseLike<void> | undefined)[]): Promise<void> | undefined {
  const waiting = promises.filter((promise) => promise !== undefined)
  return waiting.length === 0 ? undefined : Promise.all(waiting).then(() => undefined)
}
