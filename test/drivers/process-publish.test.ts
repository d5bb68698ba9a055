/** Which files a static site publishes, and which it never publishes. */
import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { BuildRequest } from '../../src/domain/deploys/instance/ports.ts'
import { buildRequest, fileSource, openRuntime, recording } from './process-support.ts'

const manifest = (content: object = {}) => JSON.stringify({ name: 'site', private: true, scripts: { build: 'sh build.sh' }, ...content })

/** A project with these build commands and additional files in its repository. */
const project = (build: string, files: Record<string, string> = {}) =>
  fileSource({ 'package.json': manifest(), 'build.sh': build, 'index.html': 'UNBUILT', 'src/main.js': 'SOURCE', ...files })

async function publish(source: BuildRequest['source'], wishes: Partial<BuildRequest> = {}) {
  const { runtime } = await openRuntime({ sandbox: 'none' })
  const io = recording()
  const release = await runtime.build(buildRequest(source, { kind: 'static_site', ...wishes }), io)
  const root = runtime.staticFiles(release.digest)?.root ?? ''
  return { files: (await readdir(root, { recursive: true })).sort(), log: io.text() }
}

describe('after a build a site publishes', () => {
  it.each(['dist', 'build', 'out', '_site', 'public', '.output/public'])('%s, and logs it', async (directory) => {
    const { files, log } = await publish(project(`mkdir -p ${directory} && echo built > ${directory}/index.html`))
    expect(files).toEqual(['index.html'])
    expect(log).toContain(`Publishing ${directory}: 1 files.`)
  })

  it('the directory that the build has written rather than an existing one', async () => {
    const kept = { 'dist/readme.txt': 'kept in the repository', 'public/logo.svg': '<svg/>' }
    expect((await publish(project('mkdir -p out && echo built > out/index.html', kept))).log).toContain('Publishing out: 1 files.')
  })

  it('an existing directory if the build has written no page', async () => {
    expect((await publish(project('true', { 'public/index.html': 'kept' }))).log).toContain('Publishing public: 1 files.')
  })

  it('the directory with a page rather than one with other files', async () => {
    const build = 'mkdir -p dist build && echo library > dist/lib.js && echo built > build/index.html'
    expect((await publish(project(build))).log).toContain('Publishing build: 1 files.')
  })

  it('nothing from node_modules, even if it is declared', async () => {
    const refused = publish(project('mkdir -p node_modules/a && echo page > node_modules/a/index.html'), {
      publishDirectory: 'node_modules/a',
    })
    await expect(refused).rejects.toMatchObject({ code: 'BUILD_FAILED', message: expect.stringContaining('node_modules') })
  })

  it('the declared directory, and the root only if it is declared', async () => {
    const build = 'mkdir -p www dist && echo built > www/index.html && echo other > dist/index.html'
    expect((await publish(project(build), { publishDirectory: 'www' })).log).toContain('Publishing www: 1 files.')
    const root = await publish(project('echo built > made.html'), { publishDirectory: '.' })
    expect(root.files).toEqual(['build.sh', 'index.html', 'made.html', 'src', 'src/main.js'])
    expect(root.log).toContain('Publishing the root directory: 4 files.')
    expect(root.log).toMatch(/Omitted files that are never published: .*package\.json/)
  })

  it.each([
    ['missing', 'true', {}, 'publishDirectory'],
    ['elsewhere', 'mkdir -p www && echo built > www/index.html', {}, 'www'],
    [
      'elsewhere beside files of the repository',
      'mkdir -p web/site && echo built > web/site/index.html',
      { 'public/a.css': 'a' },
      'web/site',
    ],
    ['empty', 'mkdir -p dist', {}, 'publishDirectory'],
  ])('nothing when the output is %s', async (_name, build, files, hint) => {
    const refused = publish(project(build, files))
    await expect(refused).rejects.toMatchObject({ code: 'BUILD_NOT_DETECTED', hint: expect.stringContaining(hint) })
    await expect(refused).rejects.toMatchObject({ hint: expect.stringContaining('publishDirectory') })
  })

  it('also a directory below its root directory', async () => {
    const source = fileSource({
      'web/package.json': manifest(),
      'web/build.sh': 'mkdir dist && echo built > dist/a.html',
      'index.html': '',
    })
    expect((await publish(source, { rootDirectory: 'web' })).files).toEqual(['a.html'])
  })
})

it('without a build, the root is published', async () => {
  const { files, log } = await publish(fileSource({ 'index.html': 'home', 'docs/a.html': 'a', 'dist/old.html': 'old' }))
  expect(files).toEqual(['dist', 'dist/old.html', 'docs', 'docs/a.html', 'index.html'])
  expect(log).toContain('Publishing the root directory: 3 files.')
})

it('hidden files, packages and manifests are never published, wherever they are and however they are spelled', async () => {
  const kept = ['index.html', '.well-known/security.txt', 'data/packages.json', 'files/requirements.html', 'go.html']
  const unwanted = [
    ...['.env', '.git-credentials', 'sub/.htpasswd', '.github/workflows/ci.yml', 'node_modules/left-pad/index.js', 'sub/node_modules/a.js'],
    ...['package.json', 'sub/Package.JSON', 'package-lock.json', 'pnpm-lock.yaml', 'yarn.lock', 'requirements.txt', 'requirements-dev.txt'],
    ...[
      'Procfile',
      'Dockerfile',
      'sub/dockerfile.prod',
      'docker-compose.yml',
      'composer.json',
      'deno.jsonc',
      'Cargo.toml',
      'Gemfile',
      'go.mod',
    ],
  ]
  const source = fileSource(Object.fromEntries([...kept, ...unwanted].map((name) => [name, name.endsWith('.json') ? '{}' : 'SECRET'])))
  for (const publishDirectory of [null, '.']) {
    const { files } = await publish(source, { publishDirectory })
    expect(files.filter((name) => !['.well-known', 'data', 'files', 'sub'].includes(name))).toEqual([...kept].sort())
  }
  await expect(publish(fileSource({ '.env': 'SECRET' }))).rejects.toMatchObject({ code: 'BUILD_FAILED' })
})
