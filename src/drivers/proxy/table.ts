import type { Route } from '../../domain/deploys/instance/ports.ts'

/** The route table in force. Replaced whole, so that no request ever sees half of a switch. */
export type Table = {
  find(host: string): Route | undefined
  replace(routes: Route[]): void
  /** Resolves at the next `replace`, after `waitMs`, or when `signal` aborts. */
  changed(waitMs: number, signal: AbortSignal): Promise<void>
}

/** `Shop.localhost.:8080` -> `shop.localhost`; null for what no table can name. */
export function hostName(header: string | undefined): string | null {
  if (header === undefined || header.length > 300) return null
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]\\]+?)\.?(?::\d{0,5})?$/i.exec(header.trim())
  return match?.[1] === undefined ? null : match[1].toLowerCase()
}

export function createTable(): Table {
  let routes = new Map<string, Route>()
  const waiting = new Set<() => void>()

  return {
    find: (host) => routes.get(host),
    replace(next) {
      routes = new Map(next.map((route) => [route.host.toLowerCase(), route]))
      for (const wake of [...waiting]) wake()
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
