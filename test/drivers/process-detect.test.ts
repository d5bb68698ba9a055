import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { BuildRequest } from '../../src/domain/deploys/instance/ports.ts'
import { detectPlan, type Plan } from '../../src/drivers/process/detect.ts'
import { fileSource } from './process-source.ts'

type Wishes = Partial<Pick<BuildRequest, 'kind' | 'buildCommand' | 'startCommand'>>

async function plan(files: Record<string, string>, wishes: Wishes = {}): Promise<Plan> {
  const directory = await mkdtemp(join(tmpdir(), 'quayside-detect-'))
  try {
    await fileSource(files)(directory, { output: () => undefined, signal: new AbortController().signal })
    return await detectPlan(directory, { kind: 'web', buildCommand: null, startCommand: null, ...wishes })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const manifest = (content: object) => JSON.stringify({ name: 'app', ...content })
const install = 'npm install --include=dev --no-audit --no-fund'
const venv = ['python3 -m venv --clear .venv', '.venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt']

describe('a plan', () => {
  test('of own commands wins over everything that the tree says', async () => {
    const files = { 'package.json': manifest({ scripts: { build: 'b', start: 's' } }), Procfile: 'web: p' }
    const both = await plan(files, { buildCommand: ' make ', startCommand: 'run' })
    expect(both).toEqual({ detected: 'commands', steps: ['make'], startCommand: 'run' })
    expect(await plan(files, { startCommand: 'run' })).toEqual({
      detected: 'commands',
      steps: [install, 'npm run build'],
      startCommand: 'run',
    })
    expect(await plan(files, { buildCommand: 'make' })).toEqual({ detected: 'commands', steps: ['make'], startCommand: 'p' })
    expect(await plan({}, { startCommand: 'run' })).toEqual({ detected: 'commands', steps: [], startCommand: 'run' })
  })

  test('takes the line of a Procfile that is for this kind of service', async () => {
    const files = { Procfile: '# comment\nrelease: migrate\nworker: work --all\r\nweb:   serve : 80 \n', 'requirements.txt': '' }
    expect(await plan(files)).toEqual({ detected: 'procfile', steps: venv, startCommand: 'serve : 80' })
    expect(await plan(files, { kind: 'worker' })).toMatchObject({ startCommand: 'work --all' })
  })

  test('of Node installs by its lockfile and starts by script, main file or server.js', async () => {
    const locked = { 'package.json': manifest({ scripts: { start: 's' } }), 'package-lock.json': '{}' }
    expect(await plan(locked)).toEqual({
      detected: 'node',
      steps: ['npm ci --include=dev --no-audit --no-fund'],
      startCommand: 'npm start',
    })
    expect(await plan({ 'package.json': manifest({ main: 'dist/it is.js' }) })).toEqual({
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

  test('of Python makes an environment and starts app.py or main.py', async () => {
    expect(await plan({ 'requirements.txt': '', 'app.py': '' })).toEqual({ detected: 'python', steps: venv, startCommand: 'python app.py' })
    expect(await plan({ 'requirements.txt': '', 'main.py': '' })).toMatchObject({ startCommand: 'python main.py' })
  })

  test('of a static site builds where there is something to build', async () => {
    expect(await plan({ 'index.html': '' })).toEqual({ detected: 'static', steps: [], startCommand: null })
    const kind = 'static_site'
    expect(await plan({}, { kind })).toEqual({ detected: 'static', steps: [], startCommand: null })
    expect(await plan({ 'package.json': manifest({ scripts: { build: 'vite' } }) }, { kind })).toEqual({
      detected: 'node',
      steps: [install, 'npm run build'],
      startCommand: null,
    })
    expect(await plan({ 'package.json': manifest({}) }, { kind })).toMatchObject({ steps: [] })
    expect(await plan({}, { kind, buildCommand: 'hugo', startCommand: 'ignored' })).toEqual({
      detected: 'commands',
      steps: ['hugo'],
      startCommand: null,
    })
  })

  test.each<[string, Record<string, string>, Wishes]>([
    ['an empty tree', {}, {}],
    ['a worker that is a page', { 'index.html': '' }, { kind: 'worker' }],
    ['a build command alone', {}, { buildCommand: 'make' }],
    ['Node without anything to start', { 'package.json': manifest({}) }, {}],
    ['Node that only builds', { 'package.json': manifest({ scripts: { build: 'vite build' } }) }, {}],
    ['Python without anything to start', { 'requirements.txt': '' }, {}],
    ['a Procfile for another kind', { Procfile: 'web: serve' }, { kind: 'worker' }],
    ['a broken package.json', { 'package.json': '{' }, {}],
    ['a package.json that is a list', { 'package.json': '[]' }, {}],
  ])('is refused with a hint for %s', async (_name, files, wishes) => {
    await expect(plan(files, wishes)).rejects.toMatchObject({
      name: 'PortError',
      code: 'BUILD_NOT_DETECTED',
      hint: expect.stringMatching(/\w/),
    })
  })

  test('of a site that is deployed as WEB is refused with the kind that would serve it', async () => {
    const files = { 'package.json': manifest({ scripts: { build: 'vite build', dev: 'vite' } }), 'index.html': '' }
    await expect(plan(files)).rejects.toMatchObject({ code: 'BUILD_NOT_DETECTED', hint: expect.stringContaining('STATIC_SITE') })
  })
})
