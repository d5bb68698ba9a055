import type { Route, RouteChange } from '../../domain/deploys/instance/ports.ts'

/** The route table. Each update takes effect at once: no request sees half of a switch. */
export type Table = {
  /** Whether there is a table. False before the first `replace`. */
  readonly known: boolean
  find(host: string): Route | undefined
  replace(routes: Route[]): void
  /** Returns the previous routes of the services. */
  change(changes: RouteChange[]): Route[]
  forget(): void
  /** Resolves at the next `replace` or `change`, after `waitMs`, or when `signal` aborts. */
  changed(waitMs: number, signal: AbortSignal): Promise<void>
}

/** `Shop.localhost.:8080` -> `shop.localhost`. Null for a value that is not a host name. */
export function hostName(header: string | undefined): string | null {
  if (header === undefined || header.length > 300) return null
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]\\]+?)\.?(?::\d{0,5})?$/i.exec(header.trim())
  return match?.[1] === undefined ? null : match[1].toLowerCase()
}

export function createTable(): Table {
  let known = false
  let byHost = new Map<string, Route>()
  let byService = new Map<string, Route>()
  const waiting = new Set<() => void>()

  const hostsOf = ({ host, domains = [] }: Route): string[] => [host, ...domains].map((name) => name.toLowerCase())
  const add = (route: Route) => {
    for (const host of hostsOf(route)) byHost.set(host, route)
    byService.set(route.serviceId, route)
  }
  const wakeAll = () => {
    for (const wake of [...waiting]) wake()
  }

  return {
    get known() {
      return known
    },
    find: (host) => byHost.get(host),
    replace(routes) {
      known = true
      byHost = new Map()
      byService = new Map()
      for (const route of routes) add(route)
      wakeAll()
    },
    change(changes) {
      const former = changes.flatMap(({ serviceId }) => byService.get(serviceId) ?? [])
      for (const route of former) {
        // A domain may have moved to another service already.
        for (const host of hostsOf(route)) if (byHost.get(host) === route) byHost.delete(host)
        byService.delete(route.serviceId)
      }
      for (const { route } of changes) if (route) add(route)
      wakeAll()
      return former
    },
    forget() {
      known = false
    },
    changed: (waitMs, signal) =>
      new Promise((resolve) => {
        const wake = () => {
          waiting.delete(wake)
          clearTimeout(timer)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        const timer = setTimeout(wake, waitMs)
        waiting.add(wake)
        signal.addEventListener('abort', wake)
        if (signal.aborted) wake()
      }),
  }
}
