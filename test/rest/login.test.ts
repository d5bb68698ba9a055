/** The page at /login: how it is served, and that what its modules name exists. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { schema } from '../../src/graphql/schema.ts'
import { pagesPlugin } from '../../src/rest/page/index.ts'
import { createWorld, type World } from '../support/tenant.ts'

const directory = join(import.meta.dirname, '../../src/rest/page')

let world: World
let server: FastifyInstance
let html: string
const scripts = new Map<string, string>()

const start = async (app: World['app']) => createApp({ app, schema, rest: [pagesPlugin(app)] })
const get = (url: string) => server.inject({ url, headers: { accept: 'text/html' } })
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]!)

beforeAll(async () => {
  world = await createWorld()
  server = await start(world.app)
  html = (await get('/login')).body
  for (const folder of ['shared', 'login']) {
    for (const name of await readdir(join(directory, folder))) {
      if (name.endsWith('.js')) scripts.set(`${folder}/${name}`, await readFile(join(directory, folder, name), 'utf8'))
    }
  }
})
afterAll(async () => {
  await server?.close()
  await world?.close()
})

describe('the page', () => {
  it('runs scripts and styles of this server only, nothing inline, and in no frame', async () => {
    const { statusCode, headers } = await get('/login')
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      'cache-control': 'no-cache',
      'referrer-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    })
    expect(html.replaceAll(/<script type="module" src="[^"]+"><\/script>/g, '')).not.toMatch(
      /<script|<style|\sstyle=|\son\w+=|https?:|\{\{/,
    )
  })
  it('loads assets that may be cached for a year, since their address changes with their content', async () => {
    const paths = matches(html, /(?:href|src)="(\/page\/[^"]+)"/g)
    const names = paths.map((path) => path.split('/').slice(3).join('/'))
    expect(names.toSorted()).toEqual([...scripts.keys(), 'shared/style.css'].toSorted())
    for (const path of [...paths, paths[0]!.replace(/[^/]+\/[^/]+$/, 'vendor/qrcode.js')]) {
      const { statusCode, headers, body } = await get(path)
      expect([path, statusCode, headers['cache-control']]).toEqual([path, 200, 'public, max-age=31536000, immutable'])
      expect(headers['content-type']).toMatch(path.endsWith('.css') ? /^text\/css/ : /^text\/javascript/)
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(body.length).toBeGreaterThan(100)
    }
  })
  it.each(['login/nothing.js', 'login/tsconfig.json', 'login/index.html', 'index.ts', 'login/..%2Findex.ts', 'x/constructor'])(
    'has no asset %s',
    async (name) => {
      const [hash] = matches(html, /"\/page\/([^/]+)\/login\/main.js"/g)
      expect((await get(`/page/${hash}/login/main.js/`)).statusCode).toBe(200)
      expect((await get(`/page/${hash}/${name}`)).statusCode).toBe(404)
      expect((await get(`/page/another-hash/login/main.js`)).statusCode).toBe(404)
    },
  )
  it('says without JavaScript what to do instead', () => {
    expect(html).toMatch(/<noscript>.*npm run key/)
  })
  it('offers sign-up and GraphiQL only where they are on', async () => {
    expect(html).toContain('<body data-sign-up="invited" data-graphiql="true">')
    const other = await start(await world.process({ SIGN_UP: 'open', GRAPHIQL: 'false' }))
    expect((await other.inject('/login')).body).toContain('<body data-sign-up="open" data-graphiql="false">')
    await other.close()
  })
  it('is named by the page at /', async () => {
    expect((await get('/')).body).toContain('<a href="/login">')
  })
})

describe('what the modules name exists:', () => {
  const named = (pattern: RegExp) => [...scripts.values()].flatMap((script) => matches(script, pattern))
  it('templates', () => {
    const names = named(/\b(?:show|copyOf|showPart)\((?:section, )?'([\w-]+)'/g)
    expect(names.length).toBeGreaterThan(3)
    for (const name of names) expect(html).toContain(`<template id="view-${name}">`)
  })
  it('types, fields and arguments of GraphQL', () => {
    const sources = named(/\bgraphql\(\s*'([^']+)'/g)
    expect(sources).toHaveLength(named(/(?<!function )\b(graphql\()/g).length)
    expect(sources.flatMap((source) => validate(schema, parse(source)).map(({ message }) => message))).toEqual([])
  })
})

describe('after signing in, ?return leads to', () => {
  const origin = 'https://quayside.example'
  let addressOf: (text: string) => string | null
  beforeAll(async () => {
    const { returnAddress } = await import(join(directory, 'login/return-address.js'))
    addressOf = (text) => returnAddress(`?return=${encodeURIComponent(text)}`, origin)
    expect(returnAddress('', origin)).toBeNull()
  })
  it.each(['/graphql', '/', '/graphql?query=%7Bviewer%7D#x', '/a?b=https://elsewhere.example', '/a/../b'])('%s', (path) => {
    expect(addressOf(path)).toBe(new URL(path, origin).href)
  })
  it.each([
    'https://elsewhere.example/',
    '//elsewhere.example',
    '///elsewhere.example',
    '/\\elsewhere.example',
    '\\\\elsewhere.example',
    '/path\\..\\..',
    '/\t/elsewhere.example',
    '/\n/elsewhere.example',
    'javascript:alert(1)',
    'graphql',
    '',
    '/login',
    '/login/',
    '/login?return=/login',
  ])('no other place: %j', (text) => {
    expect(addressOf(text)).toBeNull()
  })
  it('this origin only, whatever it is', () => {
    const parts = fc.constantFrom('/', '.', '..', '\\', '@', ':', '?', '#', '%2F', '\t', '\0', ' ', 'elsewhere.example', 'javascript:')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl(),
          fc.array(parts).map((some) => `/${some.join('')}`),
        ),
        (text) => {
          const address = addressOf(text)
          expect(address === null || new URL(address, 'https://base.example').origin).toBeOneOf([true, origin])
        },
      ),
    )
  })
})
