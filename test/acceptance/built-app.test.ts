/** Real static sites, from the repository to the response. */
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { acceptance, type Data } from './support.ts'

const world = acceptance()

const own = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8'))

const vite = {
  'package.json': JSON.stringify({
    ...{ name: 'site', private: true, type: 'module' },
    scripts: { dev: 'vite', build: 'vite build', preview: 'vite preview' },
    devDependencies: { vite: own.devDependencies.vite },
  }),
  'index.html': '<!doctype html><html><body><div id="app">UNBUILT</div><script type="module" src="/src/main.js"></script></body></html>',
  'src/main.js': `import './style.css'\ndocument.querySelector('#app').textContent = ${JSON.stringify('built '.repeat(400))}\n`,
  'src/style.css': `body { color: rebeccapurple }\n`,
  'public/logo.svg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
  '.env': 'SECRET=1',
}

type Got = { status: number; headers: Record<string, string | string[] | undefined>; body: string }

const get = (service: Data, path: string, headers: Record<string, string> = {}): Promise<Got> =>
  new Promise((resolve, reject) => {
    const { routerPort: port } = world.server
    const asked = request({ host: '127.0.0.1', port, path, agent: false, headers: { host: `${service.slug}.localhost`, ...headers } })
    asked.on('error', reject)
    asked.on('response', async (response) => {
      const parts: Buffer[] = []
      for await (const part of response) parts.push(part as Buffer)
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString() })
    })
    asked.end()
  })

it("Vite's template is refused as WEB, with what it should be, and as STATIC_SITE serves what it built and nothing else", async () => {
  const repository = await world.repository(vite)
  const service = await world.service({ name: 'Vite', repositoryUrl: repository.url })
  const refused = await world.end(await world.deploy(service))
  expect(refused).toMatchObject({ status: 'FAILED', failure: { phase: 'BUILD', code: 'BUILD_NOT_DETECTED' } })
  expect(refused.failure.hint).toContain('STATIC_SITE')

  const changed = await world.mutate(
    'updateWebService',
    { id: service.id, kind: 'STATIC_SITE', singlePage: true },
    'webService { kind singlePage }',
  )
  expect(changed).toEqual({ webService: { kind: 'STATIC_SITE', singlePage: true } })
  const live = await world.live(service)
  const messages = (await world.log(live)).map((line) => line.message)
  expect(messages).toContainEqual(expect.stringMatching(/^Publishing dist: \d+ files\.$/))

  const page = await get(service, '/')
  expect(page.body).not.toContain('/src/main.js')
  const script = /src="(\/assets\/index-[^"]+\.js)"/.exec(page.body)?.[1] ?? ''
  const plain = await get(service, script)
  expect([plain.status, plain.headers['cache-control'], plain.headers['content-encoding']]).toEqual([200, expect.any(String), undefined])
  const packed = await get(service, script, { 'accept-encoding': 'gzip, deflate, br' })
  expect([packed.headers['content-encoding'], packed.headers['content-type']]).toEqual(['br', 'text/javascript; charset=utf-8'])
  expect(Number(packed.headers['content-length'])).toBeLessThan(plain.body.length)
  expect((await get(service, '/logo.svg')).status).toBe(200)
  expect((await get(service, '/orders/7')).body).toBe(page.body)
  for (const path of ['/package.json', '/src/main.js', '/node_modules/vite/package.json', '/.env', '/vite.config.js', '/%2eenv']) {
    expect([path, (await get(service, path)).status]).toEqual([path, 404])
  }
  const stays = world.mutate('updateWebService', { id: service.id, kind: 'WEB' }, 'webService { kind }')
  await expect(stays).rejects.toMatchObject({ code: 'kind_in_use', field: 'kind' })
})

it('the release command of a Procfile runs once, and NODE_ENV is production by default', async () => {
  const repository = await world.repository({
    'package.json': JSON.stringify({ name: 'app', scripts: { build: 'echo "building as [$NODE_ENV]"' } }),
    Procfile: 'web: node server.js\nrelease: echo "migrated as $NODE_ENV"\nworker: node work.js\n',
    'server.js': `require('node:http').createServer((_request, response) => response.end(process.env.NODE_ENV)).listen(process.env.PORT, '127.0.0.1')`,
  })
  const service = await world.service({ name: 'Procfile', repositoryUrl: repository.url })
  const messages = (await world.log(await world.live(service))).map((line) => line.message)
  expect(messages).toContain('building as []')
  expect(messages.filter((message) => message === 'migrated as production')).toHaveLength(1)
  expect(messages).toContainEqual(expect.stringMatching(/^Procfile: "worker" is not run by this service/))
  expect((await get(service, '/')).body).toBe('production')
  await world.mutate('setEnvVars', { webServiceId: service.id, variables: [{ key: 'NODE_ENV', value: 'test' }] }, 'envVars { key }')
  await world.mutate('updateWebService', { id: service.id, releaseCommand: 'echo "own command"' }, 'webService { id }')
  const again = (await world.log(await world.live(service))).map((line) => line.message)
  expect(again).toContain('own command')
  expect(again).not.toContainEqual(expect.stringContaining('migrated'))
  expect((await get(service, '/')).body).toBe('test')
})
