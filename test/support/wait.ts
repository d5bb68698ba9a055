/** Waits for conditions that can only be polled, such as rows that another process writes. */

type Truthy<T> = Exclude<T, false | null | undefined | 0 | ''>

/** Polls every few milliseconds until the result is truthy, and returns it. Throws after `timeoutMs`, naming the condition. */
export async function until<T>(what: string, ask: () => T | Promise<T>, timeoutMs = 120_000): Promise<Truthy<T>> {
  const limit = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer as Truthy<T>
    if (performance.now() > limit) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
