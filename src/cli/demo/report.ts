/** The output of the demo while it runs, and the table at its end. */

/** One promise that the demo shows. `show` returns the figures that prove it, and throws if it fails. */
export type Part = { name: string; show(): Promise<string> }

type Result = { name: string; passed: boolean; figures: string; seconds: number }

export class Report {
  readonly #results: Result[] = []
  readonly #started = performance.now()
  #waiting: string[] = []
  #current: string | null = null
  #stopped = false

  /** Prints a line, unless the demo is ending. */
  say(line: string): void {
    if (!this.#stopped) console.log(line)
  }

  /** Shows the parts in order, and stops after one that fails. */
  async run(parts: Part[]): Promise<void> {
    this.#waiting = parts.map(({ name }) => name)
    for (const { name, show } of parts) {
      this.#current = this.#waiting.shift() ?? null
      this.say(`\n== ${name}`)
      const started = performance.now()
      const ended = await show().then(
        (figures) => ({ passed: true, figures }),
        (error: Error) => ({ passed: false, figures: error.message }),
      )
      if (this.#stopped) return
      this.#current = null
      this.#results.push({ name, ...ended, seconds: (performance.now() - started) / 1000 })
      if (!ended.passed) return
    }
  }

  /** Records a failure outside the parts. */
  broke(error: unknown): void {
    this.#results.push({
      name: 'The demo itself',
      passed: false,
      figures: error instanceof Error ? error.message : String(error),
      seconds: 0,
    })
  }

  /** Ignores everything from now on. */
  stop(): void {
    this.#stopped = true
  }

  /** Whether all parts were shown and passed. */
  get passed(): boolean {
    return this.#results.length > 0 && this.#results.every(({ passed }) => passed) && this.#current === null && this.#waiting.length === 0
  }

  /** Prints the table. `left` lists what could not be cleaned up. */
  print(left: string[]): void {
    const unseen = [this.#current, ...this.#waiting].filter((name) => name !== null)
    const width = Math.max(...this.#results.map(({ name }) => name.length), ...unseen.map((name) => name.length), 10)
    const line = (name: string, result: string, figures: string) => console.log(`${name.padEnd(width)}  ${result.padEnd(11)}  ${figures}`)
    console.log('')
    line('Part', 'Result', 'Figures')
    for (const { name, passed, figures, seconds } of this.#results) {
      line(name, passed ? 'passed' : 'FAILED', `${figures}${seconds === 0 ? '' : ` (${seconds.toFixed(1)} s)`}`)
    }
    for (const name of unseen) line(name, 'not reached', '')
    for (const message of left) line('Cleaning up', 'FAILED', message)
    const passed = this.#results.filter((result) => result.passed).length
    const total = this.#results.length + unseen.length
    console.log(`\n${passed} of ${total} parts passed, ${((performance.now() - this.#started) / 1000).toFixed(0)} s in total.`)
  }
}

/** Throws if a promise of the demo fails. */
export function ensure(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise)
}
