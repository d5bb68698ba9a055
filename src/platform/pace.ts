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
  /** Number of slices that the work has had after its first one. */
  readonly slices: number
  /** Calls back once everything that could continue has done so and nothing waits for a turn. */
  whenIdle(run: () => void): void
}

type Waiting = { resolve: () => void; reject: (reason: unknown) => void }

type Lane = {
  waiting: Waiting[]
  taken: number
  idle: (() => void)[]
  beganAt: number | null
  /** Pieces admitted since the time was last checked. */
  ahead: number
  slices: number
  signal: AbortSignal | undefined
}

/** Lanes with waiting work, in the order of their turns. */
const turns: Lane[] = []
let running: Lane | null = null
let isScheduled = false

export function createPace(signal?: AbortSignal): Pace {
  const lane: Lane = { waiting: [], taken: 0, idle: [], beganAt: null, ahead: 0, slices: 0, signal }
  let isLong = false

  const isOver = (pieces: number) => {
    const now = performance.now()
    if (running !== lane) {
      if (isLong) return true
      if (lane.beganAt === null) {
        lane.beganAt = now
        lane.ahead = 0
        setImmediate(() => {
          lane.beganAt = null
        })
      }
    }
    const hasRoom = lane.ahead === 0 || lane.ahead + pieces <= piecesAhead
    if (!hasRoom || now - lane.beganAt! >= sliceMs) return true
    lane.ahead += pieces
    return false
  }

  return {
    next(pieces = 1) {
      signal?.throwIfAborted()
      if (!isOver(pieces)) return undefined
      isLong = true
      return new Promise((resolve, reject) => {
        if (lane.waiting.length === 0 && running !== lane) turns.push(lane)
        lane.waiting.push({ resolve, reject })
        schedule()
      })
    },
    get slices() {
      return lane.slices
    },
    whenIdle(run) {
      afterMicrotasks(() => {
        if (lane.waiting.length === 0) run()
        else lane.idle.push(run)
      })
    },
  }
}

function schedule(): void {
  if (isScheduled || running !== null || turns.length === 0) return
  isScheduled = true
  setImmediate(() => {
    isScheduled = false
    running = turns.shift()!
    running.beganAt = performance.now()
    running.slices++
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
