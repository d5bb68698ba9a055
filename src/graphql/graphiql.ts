/**
 * The GraphiQL page as a single file: it loads nothing from other hosts, which its content security policy enforces. Requests carry the
 * headers of the page's header editor; so do subscriptions, which use server-sent events. The headers are not stored by the browser, since
 * they contain an API key.
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

const greeting = `# Put your API key into the tab "Headers" below:
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

/** Returns the page for an endpoint. It is rendered at the first call and cached (9 MB). */
export function createGraphiqlPage(endpoint: string): () => Promise<Page> {
  let page: Promise<Page> | undefined
  const render = async (): Promise<Page> => {
    const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
    const headers = JSON.stringify({ Authorization: 'Bearer ' }, null, 2)
    const rendered = renderGraphiQL({
      title: 'Quayside GraphiQL',
      endpoint,
      defaultQuery: greeting,
      defaultHeaders: headers,
      headers,
      shouldPersistHeaders: false,
      inputValueDeprecation: true,
      schemaDescription: true,
    })
    const html = rendered.replace('<div id="root"></div>', (root) => `${root}\n<script>${keepNoHeaders}</script>`)
    if (html === rendered) throw new Error('the GraphiQL page has another shape')
    return { html, gzipped: await promisify(gzip)(html) }
  }
  return () => (page ??= render())
}
