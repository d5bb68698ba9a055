/** Waits for a condition of something that gives no sign of its own, such as rows that another process writes. */

type Truthy<T> = Exclude<T, false | null | undefined | 0 | ''>

/** Asks every few milliseconds until the answer is truthy, and gives it; throws after `timeoutMs`, naming what was waited for. */
export async function until<T>(what: string, ask: () => T | Promise<T>, timeoutMs = 120_000): Promise<Truthy<T>> {
  const limit = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer as Truthy<T>
    if (performance.now() > limit) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
