/**
 * Whether running servers respond. Each is asked every few seconds over its socket, in the background, so that one that hangs delays nothing.
 * It is asked to authenticate the superuser and left before it is given a password: for that it has to start a session and read its catalog.
 */
import { connect } from 'node:net'
import { superuser } from './managed-settings.ts'
import { type ServerPlace, socketOf } from './process.ts'

export type ResponseTimes = {
  /** Time between the end of one question and the next. */
  everyMs: number
  /** How long an answer may take. */
  answerMs: number
}

export type ResponseWatch = {
  /** What is known of the server with this process. Asks again if that is not recent. */
  isSilent(place: ServerPlace, pid: number): boolean
  forget(place: ServerPlace): void
}

type Watched = { pid: number; misses: number; isAsking: boolean; askedAt: number }

const usualTimes: ResponseTimes = { everyMs: 5_000, answerMs: 5_000 }
/** Consecutive questions without an answer after which a server counts as silent. */
const missesOfSilence = 3
/** Servers that are asked at the same time. The others wait in line. */
const concurrency = 8

export function createResponseWatch({ everyMs, answerMs } = usualTimes): ResponseWatch {
  const watched = new Map<string, Watched>()
  const waiting: (() => Promise<void>)[] = []
  let asking = 0

  async function askNext(): Promise<void> {
    if (asking >= concurrency) return
    asking++
    for (let ask = waiting.shift(); ask; ask = waiting.shift()) await ask()
    asking--
  }

  function ask(place: ServerPlace, about: Watched): void {
    about.isAsking = true
    waiting.push(async () => {
      about.misses = (await responds(socketOf(place), answerMs)) ? 0 : about.misses + 1
      about.askedAt = performance.now()
      about.isAsking = false
    })
    void askNext()
  }

  return {
    isSilent(place, pid) {
      const known = watched.get(place.data)
      // A server that has just been started has answered.
      const about = known?.pid === pid ? known : { pid, misses: 0, isAsking: false, askedAt: performance.now() }
      watched.set(place.data, about)
      if (!about.isAsking && performance.now() - about.askedAt >= everyMs) ask(place, about)
      return about.misses >= missesOfSilence
    },
    forget: ({ data }) => void watched.delete(data),
  }
}

/** Protocol version 3.0, then the parameters. */
function startupMessage(): Buffer {
  const body = Buffer.from(`\0\x03\0\0user\0${superuser}\0database\0postgres\0\0`, 'latin1')
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 4)
  return Buffer.concat([length, body])
}

/** Whether the server answers in time. Any answer counts, also that it has no free connection or is starting. Never throws. */
export function responds(path: string, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path).unref()
    const end = (answer: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(end, withinMs, false).unref()
    socket.on('connect', () => socket.write(startupMessage()))
    socket.on('data', () => end(true))
    socket.on('error', () => end(false))
    socket.on('close', () => end(false))
  })
}
