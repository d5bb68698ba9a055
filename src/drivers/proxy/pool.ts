import { Agent } from 'node:http'
import type { RouterLoad } from '../../domain/deploys/instance/ports.ts'

/** Counts what each instance has in hand, and owns the connections to it. */
export type Pool = {
  /** Counts one more until the returned function is called (once; further calls do nothing). */
  hold(instanceId: string): () => void
  /** The one with the fewest in flight; equal ones take turns. Undefined for an empty list. */
  leastLoaded(instanceIds: string[]): string | undefined
  agent(instanceId: string): Agent
  /** Keeps the idle connections of one that isn't routed yet, until the next `keepOnly`. */
  expect(instanceId: string): void
  /** Says which instances are routed. Idle connections of the others are closed, so that they can end without waiting for us. */
  keepOnly(instanceIds: Set<string>): void
  load(): RouterLoad[]
  close(): void
}

type Entry = { inFlight: number; agent: Agent | null }

/** Below the 5 s after which node:http servers, our most frequent upstreams, close an idle connection. */
const idleConnectionMs = 4_000
const idleConnectionsPerInstance = 32

export function createPool(): Pool {
  const entries = new Map<string, Entry>()
  let routed = new Set<string>()
  const expected = new Set<string>()
  let turn = 0

  function entryOf(instanceId: string): Entry {
    const known = entries.get(instanceId)
    if (known !== undefined) return known
    const entry: Entry = { inFlight: 0, agent: null }
    entries.set(instanceId, entry)
    return entry
  }

  function dropWhenIdle(instanceId: string, entry: Entry): void {
    if (routed.has(instanceId) || expected.has(instanceId) || entry.inFlight > 0) return
    entry.agent?.destroy()
    entries.delete(instanceId)
  }

  return {
    hold(instanceId) {
      const entry = entryOf(instanceId)
      entry.inFlight += 1
      let held = true
      return () => {
        if (!held) return
        held = false
        entry.inFlight -= 1
        dropWhenIdle(instanceId, entry)
      }
    },
    leastLoaded(instanceIds) {
      turn += 1
      let best: string | undefined
      let bestLoad = Number.POSITIVE_INFINITY
      for (let i = 0; i < instanceIds.length; i += 1) {
        const instanceId = instanceIds[(i + turn) % instanceIds.length]!
        const load = entries.get(instanceId)?.inFlight ?? 0
        if (load < bestLoad) {
          best = instanceId
          bestLoad = load
        }
      }
      return best
    },
    agent(instanceId) {
      const entry = entryOf(instanceId)
      entry.agent ??= new Agent({ keepAlive: true, timeout: idleConnectionMs, maxFreeSockets: idleConnectionsPerInstance })
      return entry.agent
    },
    expect: (instanceId) => void expected.add(instanceId),
    keepOnly(instanceIds) {
      routed = instanceIds
      expected.clear()
      for (const [instanceId, entry] of [...entries]) dropWhenIdle(instanceId, entry)
    },
    load() {
      const ids = new Set([...routed, ...entries.keys()])
      return [...ids].map((instanceId) => ({ instanceId, inFlight: entries.get(instanceId)?.inFlight ?? 0 }))
    },
    close() {
      for (const entry of entries.values()) entry.agent?.destroy()
      entries.clear()
    },
  }
}
