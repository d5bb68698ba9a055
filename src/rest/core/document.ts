/** The OpenAPI document of a dialect and the page that displays it, served from local files without a key. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { areasOf, type Dialect } from './dialect.ts'
import { printDocument } from './openapi.ts'
import { urlsOf } from './route.ts'

const assets: Record<string, string> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
}

/** Below each area of the dialect. */
export const documentPaths: string[] = ['/openapi.json', '/docs', '/docs/start.js', ...Object.keys(assets).map((name) => `/docs/${name}`)]

const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

export function mountDocument(server: FastifyInstance, dialect: Dialect): void {
  const areas = areasOf(dialect)
  const serve = (path: string, type: string, read: () => string | Promise<Buffer>) => {
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
  serve('/openapi.json', 'application/json; charset=utf-8', () => (printed ??= printDocument(dialect)))
  serve('/docs', 'text/html; charset=utf-8', () => page(dialect.title, areas[0]))
  serve('/docs/start.js', 'text/javascript; charset=utf-8', () => startScript(areas[0]))
  for (const [name, type] of Object.entries(assets)) serve(`/docs/${name}`, type, () => readFile(join(assetsDirectory(), name)))
}

const assetsDirectory = () => dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))

const page = (title: string, area: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title}</title>
<link rel="icon" href="${area}/docs/favicon-32x32.png">
<link rel="stylesheet" href="${area}/docs/swagger-ui.css">
</head>
<body>
<div id="document"></div>
<script src="${area}/docs/swagger-ui-bundle.js"></script>
<script src="${area}/docs/start.js"></script>
</body>
</html>
`

const startScript = (area: string) => `SwaggerUIBundle({ url: '${area}/openapi.json', dom_id: '#document', deepLinking: true })\n`
