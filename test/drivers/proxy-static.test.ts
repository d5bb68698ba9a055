import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Route, Router } from '../../src/domain/deploys/instance/ports.ts'
import { type Bed, call, callRaw, createBed, createStack, digestA, digestB } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
let router: Router
let folder: string

const site = (digest: string, singlePage = false): Route => ({
  host: 'site.localhost',
  serviceId: 'site',
  digest,
  deploymentId: 'dep-site',
  target: { type: 'static', singlePage },
})

beforeEach(async () => {
  bed = createBed(stack.defer)
  folder = await mkdtemp(join(tmpdir(), 'quayside-static-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const root = join(folder, 'site')
  await mkdir(join(root, 'docs/empty'), { recursive: true })
  await mkdir(join(root, '.well-known'))
  await mkdir(join(root, '.git'))
  await writeFile(join(folder, 'secret.txt'), 'SECRET')
  await writeFile(join(root, 'index.html'), '<h1>home</h1>')
  await writeFile(join(root, 'docs/index.html'), '<h1>docs</h1>')
  await writeFile(join(root, 'digits.txt'), '0123456789')
  await writeFile(join(root, 'ä b.js'), 'export {}')
  await writeFile(join(root, '.env'), 'SECRET')
  await writeFile(join(root, '.git/config'), 'SECRET')
  await writeFile(join(root, '.well-known/security.txt'), 'contact')
  await symlink('../secret.txt', join(root, 'out.txt'))
  await symlink('..', join(root, 'up'))
  await symlink('.env', join(root, 'env.txt'))
  await symlink('loop', join(root, 'loop'))
  await symlink('digits.txt', join(root, 'inside.txt'))
  bed.sites.set(digestA, { root, encoded: null })
  router = await bed.router()
  router.apply([site(digestA)])
})
afterEach(() => stack.unwind())

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  call(router, 'site.localhost', path, { headers, method })

describe('a static site', () => {
  it.each([
    ['/', '<h1>home</h1>', 'text/html; charset=utf-8'],
    ['/index.html?v=1', '<h1>home</h1>', 'text/html; charset=utf-8'],
    ['/docs/', '<h1>docs</h1>', 'text/html; charset=utf-8'],
    ['/digits.txt', '0123456789', 'text/plain; charset=utf-8'],
    ['/%C3%A4%20b.js', 'export {}', 'text/javascript; charset=utf-8'],
    ['/.well-known/security.txt', 'contact', 'text/plain; charset=utf-8'],
    ['/inside.txt', '0123456789', 'text/plain; charset=utf-8'],
  ])('serves %s with its content type and the headers of its release', async (path, body, type) => {
    const answer = await get(path)
    expect([answer.status, answer.body, answer.headers['content-type']]).toEqual([200, body, type])
    expect(answer.headers['x-quayside-release']).toBe(digestA)
    expect(answer.headers['x-quayside-deployment']).toBe('dep-site')
    expect(answer.headers['cache-control']).toBe('public, max-age=0, must-revalidate')
  })

  it('redirects a folder without a trailing slash to the one with it, and never to another host', async () => {
    const answer = await get('/docs?x=1')
    expect([answer.status, answer.headers.location]).toEqual([308, '/docs/?x=1'])
    expect((await get('//docs')).headers.location).toBe('/docs/')
  })

  it('responds to HEAD with headers only, and with 405 to methods that write', async () => {
    const head = await get('/digits.txt', {}, 'HEAD')
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '10', ''])
    const post = await get('/', {}, 'POST')
    expect([post.status, post.headers.allow, post.headers['x-quayside-error']]).toEqual([405, 'GET, HEAD', 'method_not_allowed'])
  })

  it('responds with 404 and the 404 page of the site, if it has one', async () => {
    const plain = await get('/nothing')
    expect([plain.status, plain.headers['x-quayside-error']]).toEqual([404, 'not_found'])
    await writeFile(join(folder, 'site/404.html'), '<h1>lost</h1>')
    const page = await get('/nothing', { range: 'bytes=0-1' })
    expect([page.status, page.body, page.headers['content-type']]).toEqual([404, '<h1>lost</h1>', 'text/html; charset=utf-8'])
    expect(page.headers['x-quayside-release']).toBe(digestA)
  })

  it('serves the requested ranges', async () => {
    const middle = await get('/digits.txt', { range: 'bytes=2-4' })
    expect([middle.status, middle.body, middle.headers['content-range']]).toEqual([206, '234', 'bytes 2-4/10'])
    expect((await get('/digits.txt', { range: 'bytes=-3' })).body).toBe('789')
    const beyond = await get('/digits.txt', { range: 'bytes=50-' })
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */10'])
    expect((await get('/digits.txt', { range: 'bytes=2-4', 'if-range': '"other"' })).body).toBe('0123456789')
  })

  it('responds with 304 if the client has the file', async () => {
    const { etag, 'last-modified': modified } = (await get('/digits.txt')).headers
    const same = await get('/digits.txt', { 'if-none-match': etag ?? '' })
    expect([same.status, same.body, same.headers['x-quayside-release']]).toEqual([304, '', digestA])
    expect((await get('/digits.txt', { 'if-modified-since': modified ?? '' })).status).toBe(304)
    expect((await get('/digits.txt', { 'if-none-match': '"other"' })).status).toBe(200)
  })

  it('responds with 200 for another release, even if its file has the same size and time or is older', async () => {
    const other = join(folder, 'other')
    await mkdir(other)
    await writeFile(join(other, 'digits.txt'), '9876543210')
    const then = new Date('2020-01-01T00:00:00Z')
    await utimes(join(other, 'digits.txt'), then, then)
    await utimes(join(folder, 'site/digits.txt'), then, then)
    const { etag } = (await get('/digits.txt')).headers
    bed.sites.set(digestB, { root: other, encoded: null })
    router.apply([site(digestB)])
    expect((await get('/digits.txt', { 'if-none-match': etag ?? '' })).body).toBe('9876543210')
    expect((await get('/digits.txt', { 'if-modified-since': new Date('2024-01-01T00:00:00Z').toUTCString() })).body).toBe('9876543210')
  })

  it.each([
    '/../secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/%2e%2e%2fsecret.txt',
    '/..%5csecret.txt',
    '/..\\secret.txt',
    '/docs/../../secret.txt',
    '/digits.txt%00.html',
    '/%zz',
    '/%c0%ae%c0%ae/secret.txt',
    '//..//secret.txt',
  ])('rejects %s as a bad request', async (path) => {
    const answer = await callRaw(router, `GET ${path} HTTP/1.1\r\nHost: site.localhost\r\nConnection: close\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).not.toContain('SECRET')
  })

  it.each([
    '/out.txt',
    '/up/secret.txt',
    '/env.txt',
    '/.env',
    '/.git/config',
    '/loop',
    '/docs/empty/',
    '/docs/empty',
    '/digits.txt/',
    '/digits.txt/x',
    `/${'x'.repeat(300)}`,
  ])('responds with 404 to %s', async (path) => {
    const answer = await get(path)
    expect(answer.status).toBe(404)
    expect(answer.body).not.toContain('SECRET')
  })

  it.each([
    '/package.json',
    '/Package.JSON',
    '/%70ackage.json',
    '/node%5fmodules/left-pad/index.js',
    '/docs/NODE_MODULES/a.js',
    '/./node_modules/left-pad/index.js',
    '/pkg.txt',
    '/deps/left-pad/index.js',
    '/docs/Dockerfile',
  ])('does not serve %s', async (path) => {
    const root = join(folder, 'site')
    for (const directory of ['node_modules/left-pad', 'docs/NODE_MODULES']) await mkdir(join(root, directory), { recursive: true })
    const names = ['package.json', 'Package.JSON', 'node_modules/left-pad/index.js', 'docs/NODE_MODULES/a.js', 'docs/Dockerfile']
    for (const name of names) await writeFile(join(root, name), 'SECRET')
    await symlink('package.json', join(root, 'pkg.txt'))
    await symlink('node_modules', join(root, 'deps'))
    const answer = await get(path)
    expect(answer.status).toBe(404)
    expect(answer.body).not.toContain('SECRET')
  })

  it('serves about.html as /about, but not in place of an existing file', async () => {
    const root = join(folder, 'site')
    await writeFile(join(root, 'about.html'), '<h1>about</h1>')
    await writeFile(join(root, 'docs/intro.html'), '<h1>intro</h1>')
    await writeFile(join(root, 'docs.html'), '<h1>not this one</h1>')
    await writeFile(join(root, 'docs/empty.html'), '<h1>empty</h1>')
    const about = await get('/about')
    expect([about.status, about.body, about.headers['content-type']]).toEqual([200, '<h1>about</h1>', 'text/html; charset=utf-8'])
    expect((await get('/docs/intro?x=1')).body).toBe('<h1>intro</h1>')
    expect((await get('/about.html')).body).toBe('<h1>about</h1>')
    expect((await get('/docs/')).body).toBe('<h1>docs</h1>')
    expect((await get('/docs/empty')).body).toBe('<h1>empty</h1>')
    const slash = await get('/about/?x=1')
    expect([slash.status, slash.headers.location]).toEqual([308, '/about?x=1'])
    expect((await get('/digits')).status).toBe(404)
  })

  it('with a single page serves its index for unknown paths, and 404 for missing files', async () => {
    router.apply([site(digestA, true)])
    for (const path of ['/users/7', '/deep/er/', '/a%20b?x=.js']) {
      const answer = await get(path)
      expect([path, answer.status, answer.body]).toEqual([path, 200, '<h1>home</h1>'])
      expect(answer.headers['cache-control']).toBe('public, max-age=0, must-revalidate')
    }
    for (const path of ['/missing.js', '/users/photo.png', '/.env', '/.git/config', '/node_modules/x'])
      expect((await get(path)).status).toBe(404)
    expect((await get('/digits.txt')).body).toBe('0123456789')
    expect((await get('/users/7', {}, 'HEAD')).status).toBe(200)
    router.apply([site(digestA)])
    expect((await get('/users/7')).status).toBe(404)
  })

  it('with a 200.html serves it for unknown paths', async () => {
    await writeFile(join(folder, 'site/200.html'), '<h1>any</h1>')
    await writeFile(join(folder, 'site/404.html'), '<h1>lost</h1>')
    for (const singlePage of [false, true]) {
      router.apply([site(digestA, singlePage)])
      const answer = await get('/users/7')
      expect([answer.status, answer.body]).toEqual([200, '<h1>any</h1>'])
      expect((await get('/missing.js')).status).toBe(404)
    }
  })

  describe('with encoded copies', () => {
    const text = 'to be or not to be '.repeat(500)
    beforeEach(async () => {
      const encoded = join(folder, 'encoded')
      await mkdir(join(encoded, 'docs'), { recursive: true })
      await writeFile(join(folder, 'site/docs/play.html'), text)
      await writeFile(join(encoded, 'docs/play.html.br'), brotliCompressSync(text))
      await writeFile(join(encoded, 'docs/play.html.gz'), gzipSync(text))
      bed.sites.set(digestA, { root: bed.sites.get(digestA)!.root, encoded })
    })
    const getPlay = (headers: Record<string, string>) => get('/docs/play', headers)

    it.each([
      ['br, gzip', 'br'],
      ['gzip, deflate', 'gzip'],
      ['gzip;q=1, br;q=0.5', 'gzip'],
      ['br;q=0, gzip', 'gzip'],
      ['*', 'br'],
      ['br;q=0, gzip;q=0', undefined],
      ['', undefined],
      ['zstd', undefined],
    ])('responds to %j with %s', async (accepted, encoding) => {
      const answer = await getPlay({ 'accept-encoding': accepted })
      expect([answer.status, answer.headers['content-encoding'], answer.headers.vary]).toEqual([200, encoding, 'Accept-Encoding'])
      expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
      const length = { br: brotliCompressSync(text), gzip: gzipSync(text) }[encoding ?? ''] ?? Buffer.from(text)
      expect(answer.headers['content-length']).toBe(String(length.length))
    })

    it('has an ETag per encoding, and responds with 304 if the client has it', async () => {
      const tags = await Promise.all(
        ['br', 'gzip', ''].map(async (name) => (await getPlay({ 'accept-encoding': name })).headers.etag ?? ''),
      )
      expect(new Set(tags).size).toBe(3)
      const again = await getPlay({ 'accept-encoding': 'br', 'if-none-match': tags[0]! })
      expect([again.status, again.body, again.headers.vary]).toEqual([304, '', 'Accept-Encoding'])
      expect((await getPlay({ 'accept-encoding': 'br', 'if-none-match': tags[1]! })).status).toBe(200)
    })

    it('serves ranges of the unencoded file', async () => {
      const answer = await getPlay({ 'accept-encoding': 'br', range: 'bytes=3-4' })
      expect([answer.status, answer.body, answer.headers['content-encoding']]).toEqual([206, 'be', undefined])
      expect(answer.headers['content-range']).toBe(`bytes 3-4/${text.length}`)
    })

    it('serves a file without a copy unencoded', async () => {
      const answer = await get('/digits.txt', { 'accept-encoding': 'br' })
      expect([answer.body, answer.headers['content-encoding'], answer.headers.vary]).toEqual(['0123456789', undefined, undefined])
    })
  })

  it.each([
    ['assets/index-BkHrV5QK.js', true],
    ['assets/index-Bk-rV5_K.css', true],
    ['_nuxt/BkHrV5QK.js', true],
    ['chunks/app-5XQYZ3AB.js', true],
    ['main.3f9a1c0b.js', true],
    ['js/main.3f9a1c0b.chunk.js', true],
    ['style-3f9a1c0b55aa.css', true],
    ['_app/immutable/entry/start.js', true],
    ['assets/HomePage.js', false],
    ['assets/my-HomePage.js', false],
    ['assets/app-Version2.js', false],
    ['assets/app-version2.js', false],
    ['img/DSC00012.jpg', false],
    ['img/photo-IMG_2041.jpg', false],
    ['report-20240115.pdf', false],
    ['jquery-3.7.1.min.js', false],
    ['index-BkHrV5QK.js', false],
    ['assets/page-BkHrV5QK.html', false],
    ['index.html', false],
  ])('lets clients cache %s as immutable: %s', async (name, expected) => {
    const path = join(folder, 'site', name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, 'x')
    const { 'cache-control': cacheControl } = (await get(`/${name}`)).headers
    expect(cacheControl).toBe(expected ? 'public, max-age=31536000, immutable' : 'public, max-age=0, must-revalidate')
  })

  it('responds with 502 no_healthy_instance if the release is missing', async () => {
    router.apply([site(digestB)])
    expect((await get('/')).headers['x-quayside-error']).toBe('no_healthy_instance')
    bed.sites.set(digestB, { root: join(folder, 'removed'), encoded: null })
    expect((await get('/')).headers['x-quayside-error']).toBe('no_healthy_instance')
  })
})
