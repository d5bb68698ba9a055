/**
 * The page at /login, for people with a browser: sign in, and one's own account. It is plain HTML, CSS and modules from `page`, without a
 * build step, and does everything through /api/auth and /graphql: no rule of signing in belongs here.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import type { Settings } from '../../platform/settings.ts'
import type { App } from '../../platform/work.ts'

/** Nothing inline, nothing from other hosts, and no frame. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

const types: Record<string, string> = { '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8' }

type Asset = { type: string; content: Buffer }
type Site = { html: string; hash: string; assets: Map<string, Asset> }

export const loginPlugin =
  (app: App): FastifyPluginAsync =>
  async (server) => {
    let read: Promise<Site> | undefined
    const site = () => (read ??= readSite(app.settings))

    server.get('/login', { config: { quiet: true } }, async (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .headers({
          'content-security-policy': policy,
          'cache-control': 'no-cache',
          'referrer-policy': 'same-origin',
          'x-content-type-options': 'nosniff',
          'cross-origin-opener-policy': 'same-origin',
        })
        .send((await site()).html),
    )
    // The hash is that of all assets, so that modules find each other by relative paths and a browser never mixes two versions.
    server.get<{ Params: { hash: string; name: string } }>('/login/:hash/:name', { config: { quiet: true } }, async (request, reply) => {
      const { hash, assets } = await site()
      const asset = request.params.hash === hash ? assets.get(request.params.name) : undefined
      if (!asset) return reply.callNotFound()
      return reply
        .type(asset.type)
        .headers({ 'cache-control': 'public, max-age=31536000, immutable', 'x-content-type-options': 'nosniff' })
        .send(asset.content)
    })
  }

const directory = join(import.meta.dirname, 'page')

async function readSite({ SIGN_UP, GRAPHIQL }: Settings): Promise<Site> {
  const names = (await readdir(directory)).filter((name) => extname(name) in types).sort()
  const files = new Map(names.map((name) => [name, join(directory, name)]))
  files.set('qrcode.js', join(dirname(createRequire(import.meta.url).resolve('qrcode-generator')), 'qrcode.mjs'))
  const assets = new Map<string, Asset>()
  const digest = createHash('sha256')
  for (const [name, path] of files) {
    const content = await readFile(path)
    assets.set(name, { type: types[extname(name)]!, content })
    digest.update(`${name}:${content.length}:`).update(content)
  }
  const hash = digest.digest('base64url').slice(0, 16)
  const base = `/login/${hash}`
  const modules = names.filter((name) => name.endsWith('.js') && name !== 'main.js')
  const values: Record<string, string> = {
    assets: base,
    signUp: SIGN_UP,
    graphiql: String(GRAPHIQL),
    // The modules that main.js imports, so that they load at once.
    preloads: modules.map((name) => `<link rel="modulepreload" href="${base}/${name}">`).join('\n'),
  }
  const source = await readFile(join(directory, 'index.html'), 'utf8')
  return { html: source.replace(/\{\{(\w+)\}\}/g, (_mark, name: string) => values[name]!), hash, assets }
}
