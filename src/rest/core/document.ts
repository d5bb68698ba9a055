/** The OpenAPI document of a dialect and the pages that display it, served from local files without a key. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { areasOf, type Dialect } from './dialect.ts'
import { printDocument } from './openapi.ts'
import { urlsOf } from './route.ts'

type Asset = {
  type: string
  file: () => string
  /** A URL on another host that the file would load, which the policy of the pages blocks, and what is served in its place. */
  instead?: { of: string; data: string }
}

const css = 'text/css; charset=utf-8'
const script = 'text/javascript; charset=utf-8'
const fileOf = (pack: string, name: string) => () => join(dirname(createRequire(import.meta.url).resolve(`${pack}/package.json`)), name)

const emptyImage = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>"

/** A page that displays the document: its path, its files below it, and the script that starts it. */
type Page = { path: string; assets: Readonly<Record<string, Asset>>; start(url: string): string }

const swagger: Page = {
  path: '/docs',
  assets: {
    'swagger-ui.css': { type: css, file: fileOf('swagger-ui-dist', 'swagger-ui.css') },
    'swagger-ui-bundle.js': { type: script, file: fileOf('swagger-ui-dist', 'swagger-ui-bundle.js') },
    'favicon-32x32.png': { type: 'image/png', file: fileOf('swagger-ui-dist', 'favicon-32x32.png') },
  },
  start: (url) => `SwaggerUIBundle({ url: '${url}', dom_id: '#document', deepLinking: true })\n`,
}

/** Its search would need a worker from a blob. */
const redoc: Page = {
  path: '/redoc',
  assets: {
    'redoc.standalone.js': {
      type: script,
      file: fileOf('redoc', 'bundles/redoc.standalone.js'),
      instead: { of: 'https://cdn.redoc.ly/redoc/logo-mini.svg', data: emptyImage },
    },
    'favicon-32x32.png': swagger.assets['favicon-32x32.png']!,
  },
  start: (url) => `Redoc.init('${url}', { disableSearch: true, hideDownloadButton: false }, document.getElementById('document'))\n`,
}

const pagesOf = ({ hasRedoc }: Dialect): Page[] => [swagger, ...(hasRedoc ? [redoc] : [])]

/** Below each area of the dialect. */
export const documentPathsOf = (dialect: Dialect): string[] => [
  '/openapi.json',
  ...pagesOf(dialect).flatMap(({ path, assets }) => [path, `${path}/start.js`, ...Object.keys(assets).map((name) => `${path}/${name}`)]),
]

const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

export function mountDocument(server: FastifyInstance, dialect: Dialect): void {
  const areas = areasOf(dialect)
  const serve = (path: string, type: string, read: () => string | Promise<string | Buffer>) => {
    for (const url of urlsOf(areas, [path])) {
      server.get(url, { constraints: { dialect: dialect.name }, exposeHeadRoute: true }, async (_request, reply) =>
        reply
          .type(type)
          .header('content-security-policy', policy)
          .send(await read()),
      )
    }
  }
  let printed: string | undefined
  const url = `${areas[0]}/openapi.json`
  serve('/openapi.json', 'application/json; charset=utf-8', () => (printed ??= printDocument(dialect)))
  for (const page of pagesOf(dialect)) {
    serve(page.path, 'text/html; charset=utf-8', () => htmlOf(dialect.title, areas[0] + page.path, page))
    serve(`${page.path}/start.js`, script, () => page.start(url))
    for (const [name, asset] of Object.entries(page.assets)) serve(`${page.path}/${name}`, asset.type, readerOf(asset))
  }
}

/** A file that is changed is read and changed once. */
function readerOf({ file, instead }: Asset): () => Promise<string | Buffer> {
  if (!instead) return () => readFile(file())
  let changed: Promise<string> | undefined
  return () => {
    changed ??= readFile(file(), 'utf8').then((text) => text.replaceAll(instead.of, instead.data))
    changed.catch(() => (changed = undefined))
    return changed
  }
}

/** `at` is the path of the page. */
function htmlOf(title: string, at: string, { assets }: Page): string {
  const linked = Object.entries(assets).map(([name, { type }]) => {
    if (type === script) return `<script defer src="${at}/${name}"></script>`
    return `<link rel="${type === css ? 'stylesheet' : 'icon'}" href="${at}/${name}">`
  })
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title}</title>
${linked.join('\n')}
<script defer src="${at}/start.js"></script>
</head>
<body>
<div id="document"></div>
</body>
</html>
`
}
