import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BuildRequest } from '../../src/domain/deploys/instance/ports.ts'
import { detectPlan, type Plan } from '../../src/drivers/process/detect.ts'
import type { ToolName } from '../../src/drivers/process/tool.ts'
import { fileSource } from './process-source.ts'

type Wishes = Partial<Pick<BuildRequest, 'kind' | 'buildCommand' | 'startCommand'>> & { hasGo?: boolean }

async function plan(files: Record<string, string>, wishes: Wishes = {}, at = ''): Promise<Plan> {
  const directory = await mkdtemp(join(tmpdir(), 'quayside-detect-'))
  try {
    await fileSource(files)(directory, { output: () => undefined, signal: new AbortController().signal })
    return await detectPlan(directory, join(directory, at), { kind: 'web', buildCommand: null, startCommand: null, ...wishes })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const manifest = (content: object) => JSON.stringify({ name: 'app', ...content })
const install = 'npm install --include=dev --no-audit --no-fund'
const venv = ['python3 -m venv --clear .venv', '.venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt']

describe('a plan', () => {
  it('uses the commands of the service before anything in the tree', async () => {
    const files = { 'package.json': manifest({ scripts: { build: 'b', start: 's' } }), Procfile: 'web: p' }
    const both = await plan(files, { buildCommand: ' make ', startCommand: 'run' })
    expect(both).toMatchObject({ detected: 'commands', steps: ['make'], startCommand: 'run' })
    expect(await plan(files, { startCommand: 'run' })).toMatchObject({
      detected: 'commands',
      steps: [install, 'npm run build'],
      startCommand: 'run',
    })
    expect(await plan(files, { buildCommand: 'make' })).toMatchObject({ detected: 'commands', steps: ['make'], startCommand: 'p' })
    expect(await plan({}, { startCommand: 'run' })).toMatchObject({ detected: 'commands', steps: [], startCommand: 'run' })
  })

  it('uses the line of a Procfile for the kind of the service', async () => {
    const files = { Procfile: '# comment\nrelease: migrate\nworker: work --all\r\nweb:   serve : 80 \n', 'requirements.txt': '' }
    expect(await plan(files)).toMatchObject({ detected: 'procfile', steps: venv, startCommand: 'serve : 80' })
    expect(await plan(files, { kind: 'worker' })).toMatchObject({ startCommand: 'work --all' })
  })

  it('of Node installs from its lockfile and starts a script, the main file or server.js', async () => {
    const locked = { 'package.json': manifest({ scripts: { start: 's' } }), 'package-lock.json': '{}' }
    expect(await plan(locked)).toMatchObject({
      detected: 'node',
      steps: ['npm ci --include=dev --no-audit --no-fund'],
      startCommand: 'npm start',
    })
    expect(await plan({ 'package.json': manifest({ main: 'dist/it is.js' }) })).toMatchObject({
      detected: 'node',
      steps: [install],
      startCommand: "node 'dist/it is.js'",
    })
    expect(await plan({ 'package.json': manifest({}), 'server.js': '' })).toMatchObject({ startCommand: 'node server.js' })
    expect(await plan({ 'package.json': manifest({}), 'requirements.txt': '', 'index.js': '' })).toMatchObject({
      detected: 'node',
      startCommand: 'node index.js',
    })
  })

  it('of Python creates an environment and starts app.py or main.py', async () => {
    expect(await plan({ 'requirements.txt': '', 'app.py': '' })).toMatchObject({
      detected: 'python',
      steps: venv,
      startCommand: 'python app.py',
    })
    expect(await plan({ 'requirements.txt': '', 'main.py': '' })).toMatchObject({ startCommand: 'python main.py' })
  })

  it('of a static site builds if there is a build script', async () => {
    expect(await plan({ 'index.html': '' })).toMatchObject({ detected: 'static', steps: [], startCommand: null })
    const kind = 'static_site'
    expect(await plan({}, { kind })).toMatchObject({ detected: 'static', steps: [], startCommand: null })
    expect(await plan({ 'package.json': manifest({ scripts: { build: 'vite' } }) }, { kind })).toMatchObject({
      detected: 'node',
      steps: [install, 'npm run build'],
      startCommand: null,
    })
    expect(await plan({ 'package.json': manifest({}) }, { kind })).toMatchObject({ steps: [] })
    expect(await plan({}, { kind, buildCommand: 'hugo', startCommand: 'ignored' })).toMatchObject({
      detected: 'commands',
      steps: ['hugo'],
      startCommand: null,
    })
  })

  it.each<[string, Record<string, string>, Wishes]>([
    ['an empty tree', {}, {}],
    ['a worker with only a page', { 'index.html': '' }, { kind: 'worker' }],
    ['only a build command', {}, { buildCommand: 'make' }],
    ['Node without a start command', { 'package.json': manifest({}) }, {}],
    ['Node that only builds', { 'package.json': manifest({ scripts: { build: 'vite build' } }) }, {}],
    ['Python without a start command', { 'requirements.txt': '' }, {}],
    ['a Procfile for another kind', { Procfile: 'web: serve' }, { kind: 'worker' }],
    ['an invalid package.json', { 'package.json': '{' }, {}],
    ['a package.json that is a list', { 'package.json': '[]' }, {}],
  ])('is rejected with a hint for %s', async (_name, files, wishes) => {
    await expect(plan(files, wishes)).rejects.toMatchObject({
      name: 'PortError',
      code: 'BUILD_NOT_DETECTED',
      hint: expect.stringMatching(/\w/),
    })
  })

  it('of a static site deployed as WEB is rejected with the kind that would serve it', async () => {
    const files = { 'package.json': manifest({ scripts: { build: 'vite build', dev: 'vite' } }), 'index.html': '' }
    await expect(plan(files)).rejects.toMatchObject({ code: 'BUILD_NOT_DETECTED', hint: expect.stringContaining('STATIC_SITE') })
  })

  it('uses the release command of a Procfile, and reports what happens to its other processes', async () => {
    const files = { Procfile: 'web: serve\nrelease: migrate\nworker: work\nclock: tick --all\n', 'requirements.txt': '' }
    expect(await plan(files)).toMatchObject({
      releaseCommand: 'migrate',
      notes: [expect.stringMatching(/"worker".*WORKER/), expect.stringMatching(/"clock".*WORKER.*tick --all/)],
    })
    // Once for both services, by the web service.
    expect(await plan(files, { kind: 'worker' })).toMatchObject({ releaseCommand: null, startCommand: 'work' })
    const alone = { Procfile: 'worker: work\nrelease: migrate' }
    expect(await plan(alone, { kind: 'worker' })).toMatchObject({ releaseCommand: 'migrate', notes: [] })
    await expect(plan(alone)).rejects.toMatchObject({ message: expect.stringContaining('worker'), hint: expect.stringContaining('WORKER') })
    expect(await plan(files, { startCommand: 'own' })).toMatchObject({ releaseCommand: 'migrate', startCommand: 'own' })
  })

  const scripts = { scripts: { build: 'b', start: 's' } }
  it.each<[string, Record<string, string>, string, string, ToolName, string]>([
    [
      'a lockfile of pnpm 9',
      { 'pnpm-lock.yaml': "lockfileVersion: '9.0'\n" },
      'pnpm install --frozen-lockfile',
      'pnpm run build',
      'pnpm',
      '9',
    ],
    [
      'a lockfile of pnpm 8',
      { 'pnpm-lock.yaml': "lockfileVersion: '6.0'\n" },
      'pnpm install --frozen-lockfile',
      'pnpm run build',
      'pnpm',
      '8',
    ],
    [
      'a lockfile of pnpm 7',
      { 'pnpm-lock.yaml': 'lockfileVersion: 5.4\n' },
      'pnpm install --frozen-lockfile',
      'pnpm run build',
      'pnpm',
      '7',
    ],
    [
      'a lockfile of Yarn 1',
      { 'yarn.lock': '# yarn lockfile v1\n' },
      'yarn install --frozen-lockfile --production=false',
      'yarn run build',
      'yarn',
      '1',
    ],
    [
      'a lockfile of Yarn 4',
      { 'yarn.lock': '__metadata:\n  version: 8\n' },
      'yarn install --immutable',
      'yarn run build',
      'yarn-berry',
      '4',
    ],
    [
      'a lockfile of Yarn 3',
      { 'yarn.lock': '__metadata:\n  version: 6\n' },
      'yarn install --immutable',
      'yarn run build',
      'yarn-berry',
      '3',
    ],
    ['a lockfile of Bun', { 'bun.lock': '{}' }, 'bun install --frozen-lockfile', 'bun run build', 'bun', '1'],
    ['an old lockfile of Bun', { 'bun.lockb': '' }, 'bun install --frozen-lockfile', 'bun run build', 'bun', '1'],
  ])('with %s installs exactly its versions', async (_name, files, install, build, name, range) => {
    const found = await plan({ 'package.json': manifest(scripts), ...files })
    expect(found.steps).toEqual([expect.stringContaining(install), build])
    expect(found).toMatchObject({ startCommand: 'npm start', tools: [{ name, range }] })
  })

  it.each<[string, ToolName, string, string]>([
    ['pnpm@9.12.0+sha512.abc', 'pnpm', '9.12.0', 'pnpm install --no-frozen-lockfile'],
    ['yarn@1.22.22', 'yarn', '1.22.22', 'yarn install --production=false'],
    ['yarn@4.5.0', 'yarn-berry', '4.5.0', 'yarn install --no-immutable'],
    ['npm@10.8.0', 'npm', '10.8.0', 'npm ci --include=dev'],
    ['bun@1.1.0', 'bun', '1.1.0', 'bun install'],
  ])('follows packageManager %s before any lockfile', async (packageManager, name, range, install) => {
    const found = await plan({ 'package.json': manifest({ ...scripts, packageManager }), 'package-lock.json': '{}' })
    expect(found.steps[0]).toContain(install)
    expect(found.tools).toMatchObject([{ name, range }])
  })

  it.each(['deno@2.0.0', 'pnpm', 'pnpm@latest', 'npm@', 7])('rejects packageManager %j with the reason', async (packageManager) => {
    const refused = plan({ 'package.json': manifest({ ...scripts, packageManager }) })
    await expect(refused).rejects.toMatchObject({ code: 'BUILD_NOT_DETECTED', message: expect.stringContaining('packageManager') })
  })

  it('uses the package manager of the workspace that contains the project, and of no other parent folder', async () => {
    const app = { 'apps/web/package.json': manifest(scripts) }
    const workspace = {
      ...app,
      'package.json': manifest({ packageManager: 'pnpm@9.1.0' }),
      'pnpm-workspace.yaml': '',
      'pnpm-lock.yaml': '',
    }
    expect(await plan(workspace, {}, 'apps/web')).toMatchObject({ tools: [{ name: 'pnpm', range: '9.1.0' }] })
    const yarn = { ...app, 'package.json': manifest({ workspaces: ['apps/*'] }), 'yarn.lock': '' }
    expect(await plan(yarn, {}, 'apps/web')).toMatchObject({ tools: [{ name: 'yarn' }] })
    const beside = { ...app, 'package.json': manifest({}), 'package-lock.json': '{}' }
    expect((await plan(beside, {}, 'apps/web')).steps[0]).toBe(install)
  })

  it.each<[string, Record<string, string>, object, string, string]>([
    ['engines.node', {}, { engines: { node: '>=18 <21' } }, '>=18 <21', 'engines.node'],
    ['.nvmrc', { '.nvmrc': 'v20.11.0\n' }, { engines: { node: '>=18' } }, 'v20.11.0', '.nvmrc'],
    ['.node-version', { '.node-version': '# ours\n22\n' }, {}, '22', '.node-version'],
    ['a named LTS line', { '.nvmrc': 'lts/Iron' }, {}, '20', '.nvmrc'],
    ['the latest LTS line', { '.nvmrc': 'lts/*' }, {}, '24', '.nvmrc'],
    ['the newest version', { '.nvmrc': 'node' }, {}, '*', '.nvmrc'],
  ])('uses the Node version of %s', async (_name, files, content, range, from) => {
    const found = await plan({ 'package.json': manifest({ ...scripts, ...content }), ...files })
    expect(found.tools).toEqual([{ name: 'node', range, from }])
  })

  it.each([
    [{ '.nvmrc': 'lts/nothing' }, {}],
    [{ '.nvmrc': 'system' }, {}],
    [{}, { engines: { node: 'the newest one' } }],
  ])('rejects an invalid Node version: %j %j', async (files, content) => {
    const refused = plan({ 'package.json': manifest({ ...scripts, ...content }), ...(files as Record<string, string>) })
    await expect(refused).rejects.toMatchObject({ code: 'BUILD_NOT_DETECTED', message: expect.stringContaining('not a version of Node') })
  })

  it.each(['pyproject.toml', 'Dockerfile', 'go.mod', 'Cargo.toml', 'Gemfile', 'composer.json'])(
    'mentions %s if it is found',
    async (name) => {
      await expect(plan({ [name]: '' })).rejects.toMatchObject({ hint: expect.stringContaining(`Found but not supported: ${name}`) })
      const used = await plan({ [name]: '', 'package.json': manifest(scripts) })
      expect(used.notes).toEqual([`Found but not used: ${name}.`])
    },
  )

  it('of Go builds if the machine has the toolchain', async () => {
    const found = await plan({ 'go.mod': 'module x\n' }, { hasGo: true })
    expect(found).toMatchObject({ detected: 'go', steps: ['go build -o ./go-server .'], startCommand: './go-server', notes: [] })
  })
})
