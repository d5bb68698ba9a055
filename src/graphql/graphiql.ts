/**
 * The GraphiQL page, whole in one file: nothing is loaded from another host, and the policy that it is served with would not let it.
 * Its requests carry what stands in the page's header editor; subscriptions go by server-sent events, which carry headers too. What is
 * typed there is gone with the page: a key must not lie in the browser's storage.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

export type Page = { html: string; gzipped: Buffer }

/** Scripts and styles stand in the page, and its editor's workers are made from blobs. */
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
 * Runs before GraphiQL: of all that it stores (tabs, history) the headers are left out, and those that a former page stored are removed.
 * Without it GraphiQL keeps the headers of its history whatever its settings say.
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

/** The page for an endpoint; made at the first call (it has 9 MB) and kept. */
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
