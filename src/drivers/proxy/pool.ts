import { Agent } from 'node:http'
import type { RouterLoad } from '../../domain/deploys/instance/ports.ts'

/** Counts the requests in flight of each instance, and owns the connections to it. */
export type Pool = {
  /** Counts one more request until the returned function is called. Further calls have no effect. */
  hold(instanceId: string): () => void
  /** The instance with the fewest requests in flight, in rotation among equals. Undefined for an empty list. */
  leastLoaded(instanceIds: string[]): string | undefined
  agent(instanceId: string): Agent
  /** Keeps the idle connections of an instance that is not routed yet until the next `route` call for its service. */
  expect(instanceId: string, serviceId: string): void
  /**
   * Sets which instances of some services (null: of all) are routed. Idle connections to their other instances are closed, so that those
   * can exit without waiting for them.
   */
  route(services: { serviceId: string; former: string[]; present: string[] }[] | null, present?: string[]): void
  load(): RouterLoad[]
  close(): void
}

type Entry = { inFlight: number; agent: Agent | null }

/** Less than the 5 s after which node:http servers, the most frequent upstreams, close an idle connection. */
const idleConnectionMs = 4_000
const idleConnectionsPerInstance = 32

export function createPool(): Pool {
  const entries = new Map<string, Entry>()
  let routed = new Set<string>()
  /** Service id by instance id. */
  const expected = new Map<string, string>()
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
    expect: (instanceId, serviceId) => void expected.set(instanceId, serviceId),
    route(services, present = []) {
      if (services === null) {
        routed = new Set(present)
        expected.clear()
        for (const [instanceId, entry] of [...entries]) dropWhenIdle(instanceId, entry)
        return
      }
      const ids = new Set(services.map(({ serviceId }) => serviceId))
      const touched = [...expected].filter(([, serviceId]) => ids.has(serviceId)).map(([instanceId]) => instanceId)
      for (const instanceId of touched) expected.delete(instanceId)
      for (const { former } of services) for (const instanceId of former) routed.delete(instanceId)
      for (const service of services) for (const instanceId of service.present) routed.add(instanceId)
      for (const instanceId of [...touched, ...services.flatMap(({ former }) => former)]) {
        const entry = entries.get(instanceId)
        if (entry) dropWhenIdle(instanceId, entry)
      }
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
