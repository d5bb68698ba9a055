/**
 * Splits long computations into short slices, so that they don't block the event loop. Code that may run for long calls `next` between two
 * pieces of work. After its first slice it must wait for its turn: each round of the event loop runs one slice of one computation, and
 * sockets, timers and short requests are served in between.
 */

/** Duration of a slice. The piece in progress at its end is still finished. */
const sliceMs = 5
/** Number of pieces admitted before any of them has run, since their time is known only afterwards. */
const piecesAhead = 500

export type Pace = {
  /**
   * Returns undefined to continue at once, otherwise a promise of the next turn. `pieces` is the number of objects, or other small pieces of
   * work, that follow. Throws or rejects with the signal's reason once it has aborted.
   */
  next(pieces?: number): Promise<void> | undefined
  /** Calls back once everything that could continue has done so and nothing waits for a turn. */
  whenIdle(run: () => void): void
}

type Waiting = { resolve: () => void; reject: (reason: unknown) => void }

/** Lanes with waiting work, in the order of their turns. */
const turns: Lane[] = []
let running: Lane | null = null
let isScheduled = false

export const createPace = (signal?: AbortSignal): Pace => new Lane(signal)

/** A class, because every operation has one, and closures and accessors cost more to create. */
class Lane implements Pace {
  waiting: Waiting[] = []
  taken = 0
  idle: (() => void)[] = []
  beganAt: number | null = null
  /** Pieces admitted since the time was last checked. */
  ahead = 0
  #isLong = false
  readonly signal: AbortSignal | undefined

  constructor(signal: AbortSignal | undefined) {
    this.signal = signal
  }

  next(pieces = 1): Promise<void> | undefined {
    this.signal?.throwIfAborted()
    if (!this.#isOver(pieces)) return undefined
    this.#isLong = true
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0 && running !== this) turns.push(this)
      this.waiting.push({ resolve, reject })
      schedule()
    })
  }

  whenIdle(run: () => void): void {
    afterMicrotasks(() => {
      if (this.waiting.length === 0) run()
      else this.idle.push(run)
    })
  }

  #isOver(pieces: number): boolean {
    const now = performance.now()
    if (running !== this) {
      if (this.#isLong) return true
      if (this.beganAt === null) {
        this.beganAt = now
        this.ahead = 0
        setImmediate(() => {
          this.beganAt = null
        })
      }
    }
    const hasRoom = this.ahead === 0 || this.ahead + pieces <= piecesAhead
    if (!hasRoom || now - this.beganAt! >= sliceMs) return true
    this.ahead += pieces
    return false
  }
}

function schedule(): void {
  if (isScheduled || running !== null || turns.length === 0) return
  isScheduled = true
  setImmediate(() => {
    isScheduled = false
    running = turns.shift()!
    running.beganAt = performance.now()
    runSlice(running)
  })
}

/** Resumes a lane's waiting work one by one, each with everything that follows from it at once, until the slice is over. */
function runSlice(lane: Lane): void {
  const next = lane.waiting[lane.taken]
  if (next && performance.now() - lane.beganAt! < sliceMs) {
    lane.taken++
    lane.ahead = 0
    if (lane.signal?.aborted) next.reject(lane.signal.reason)
    else next.resolve()
    afterMicrotasks(() => runSlice(lane))
    return
  }
  lane.waiting = lane.waiting.slice(lane.taken)
  lane.taken = 0
  running = null
  lane.beganAt = null
  if (lane.waiting.length > 0) turns.push(lane)
  else for (const run of lane.idle.splice(0)) run()
  schedule()
}

/** A tick scheduled in a microtask runs when the microtask queue is empty. */
const afterMicrotasks = (run: () => void): void => queueMicrotask(() => process.nextTick(run))
