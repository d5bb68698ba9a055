/**
 * Long computations in short stretches, so that no one else in the process waits for them. Code that may work for long asks its pace
 * between two pieces whether to go on. After its first stretch it only goes on in its turns, and turns go round: one stretch of one
 * pace for each round of the event loop, between which sockets, timers and short requests are served.
 */

/** How long a stretch lasts; the piece in hand when it is over is still finished. */
const stretchMs = 5
/** What is let go on before any of it has worked: its time is only seen afterwards. */
const piecesAhead = 500

export type Pace = {
  /**
   * Undefined: go on at once. Else wait for it: the next turn. `pieces`: how many objects, or other small pieces of work, follow. Throws,
   * or rejects, with the signal's reason after its abort.
   */
  next(pieces?: number): Promise<void> | undefined
  /** Whether the work took longer than one stretch so far. */
  readonly isLong: boolean
  /** Calls back when everything that can go on at this moment has done so, and nothing waits for a turn. */
  whenIdle(run: () => void): void
}

type Waiting = { resolve: () => void; reject: (reason: unknown) => void }

type Lane = {
  waiting: Waiting[]
  taken: number
  idle: (() => void)[]
  beganAt: number | null
  /** Pieces that were let go on since the last look at the time behind their work. */
  ahead: number
  signal: AbortSignal | undefined
}

/** Lanes with something that waits, in the order of their turns. */
const turns: Lane[] = []
let running: Lane | null = null
let isScheduled = false

export function createPace(signal?: AbortSignal): Pace {
  const lane: Lane = { waiting: [], taken: 0, idle: [], beganAt: null, ahead: 0, signal }
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
    if (!hasRoom || now - lane.beganAt! >= stretchMs) return true
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
    get isLong() {
      return isLong
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
    goOn(running)
  })
}

/** Lets one after the other of a lane go on, each with all that follows at once from it, until the stretch is over. */
function goOn(lane: Lane): void {
  const next = lane.waiting[lane.taken]
  if (next && performance.now() - lane.beganAt! < stretchMs) {
    lane.taken++
    lane.ahead = 0
    if (lane.signal?.aborted) next.reject(lane.signal.reason)
    else next.resolve()
    afterMicrotasks(() => goOn(lane))
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

/** A tick that is asked for in a microtask comes when the last of them is done. */
const afterMicrotasks = (run: () => void): void => queueMicrotask(() => process.nextTick(run))
