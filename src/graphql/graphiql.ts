/**
 * The GraphiQL page as a single file: it loads nothing from other hosts, which its content security policy enforces. Requests carry the
 * cookie of a person who is signed in, and the headers of the page's header editor; so do subscriptions, which use server-sent events. The
 * headers are not stored by the browser, since they can contain an API key.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

export type Page = { html: string; gzipped: Buffer }

/** Scripts and styles are inline, and the editor's workers are created from blobs. */
export const pagePolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline' 'unsafe-eval' blob:",
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  'worker-src blob:',
  "connect-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const greeting = `# If you are signed in at /login, no key is needed. Otherwise, put your API key into the tab "Headers" below:
#   { "Authorization": "Bearer ak_live_…" }
# then reload the schema with the circular arrow on the left.

query Hello {
  viewer {
    organization {
      name
    }
  }
}
`

/**
 * Runs before GraphiQL and removes the headers from everything that it stores (tabs, history), including what an earlier page stored.
 * GraphiQL keeps the headers in its history regardless of its settings.
 */
const keepNoHeaders = `(() => {
  const isOurs = (name) => name.startsWith('graphiql:')
  const without = (name, value) => {
    if (!isOurs(name)) return value
    if (name === 'graphiql:headers') return ''
    try {
      return JSON.stringify(JSON.parse(value, (key, item) => (key === 'headers' ? undefined : item)))
    } catch {
      return value
    }
  }
  const set = Storage.prototype.setItem
  Storage.prototype.setItem = function (name, value) {
    set.call(this, name, without(String(name), String(value)))
  }
  for (const name of Object.keys(localStorage).filter(isOurs)) localStorage.setItem(name, localStorage.getItem(name))
})()`

/**
 * Runs before GraphiQL. A request by the cookie whose access token has expired is repeated with a new one; the refresh takes turns with the
 * page at /login and with other tabs, since a refresh token is used only once. A person who isn't signed in gets a link that leads there.
 */
const useSession = `(() => {
  const send = window.fetch.bind(window)
  let refreshing = null
  const renew = () => send('/api/auth/refresh', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  const inTurn = async () => {
    if (!navigator.locks) return renew()
    const mine = await navigator.locks.request('quayside-refresh', { ifAvailable: true }, (lock) => lock && renew())
    if (mine === null) await navigator.locks.request('quayside-refresh', () => {})
  }
  const refresh = () => (refreshing ??= inTurn().finally(() => (refreshing = null)))
  const show = (signedOut) => {
    document.getElementById('sign-in')?.remove()
    if (!signedOut) return
    const bar = document.createElement('p')
    bar.id = 'sign-in'
    bar.setAttribute('role', 'status')
    bar.style = 'position: fixed; z-index: 1000; top: 0; left: 50%; translate: -50%; margin: 0; padding: 0.5rem 1rem; font: 1rem system-ui, sans-serif; color: #1c2024; background: #ffe9a8; border-radius: 0 0 0.5rem 0.5rem'
    const link = document.createElement('a')
    link.href = '/login?return=' + location.pathname
    link.style = 'color: #0b5cad'
    link.textContent = 'Sign in'
    bar.append('You are not signed in. ', link, ', or enter an API key under Headers.')
    document.body.append(bar)
  }
  window.fetch = async (input, init) => {
    const headers = new Headers(init?.headers)
    const response = await send(input, init)
    if (headers.has('authorization') || headers.has('x-api-key')) return response
    if (response.status !== 401) return show(false), response
    await refresh()
    const repeated = await send(input, init)
    show(repeated.status === 401)
    return repeated
  }
})()`

/** Returns the page for an endpoint. It is rendered at the first call and cached (9 MB). */
export function createGraphiqlPage(endpoint: string): () => Promise<Page> {
  let page: Promise<Page> | undefined
  const render = async (): Promise<Page> => {
    const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
    const rendered = renderGraphiQL({
      title: 'Quayside GraphiQL',
      endpoint,
      defaultQuery: greeting,
      shouldPersistHeaders: false,
      inputValueDeprecation: true,
      schemaDescription: true,
    })
    const html = rendered.replace(
      '<div id="root"></div>',
      (root) => `${root}\n<script>${keepNoHeaders}</script>\n<script>${useSession}</script>`,
    )
    if (html === rendered) throw new Error('the GraphiQL page has another shape')
    return { html, gzipped: await promisify(gzip)(html) }
  }
  return () => (page ??= render())
}
