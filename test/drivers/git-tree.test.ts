import { createHash } from 'node:crypto'
import { access, lstat, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GitSourceOptions } from '../../src/drivers/git/index.ts'
import { createRepository, type GitRepository, type RepositoryFiles } from '../support/git-repository.ts'
import { createBench, type GitBench, recordedIo, ref, refusal } from './git-support.ts'

let bench: GitBench

beforeEach(async () => {
  bench = await createBench()
})

afterEach(async () => {
  await bench.close()
})

async function repositoryWith(files: RepositoryFiles): Promise<GitRepository> {
  const repository = await createRepository(files)
  bench.own(repository)
  return repository
}

/** Pins main and writes its tree. Returns the directory and the log. */
async function write(repository: GitRepository, options: Partial<GitSourceOptions> = {}, directory = bench.target()) {
  const io = recordedIo()
  const source = bench.source(options)
  const commit = await source.pin({ repository: ref(repository.url), branch: 'main', commit: null }, io)
  await source.tree(ref(repository.url), commit)(directory, io)
  return { directory, log: io.text() }
}

/** Paths of everything in a directory, without following links. */
async function files(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const below = entries.map(async (entry) => {
    const inner = entry.isDirectory() ? await files(join(directory, entry.name)) : []
    return [entry.name, ...inner.map((path) => `${entry.name}/${path}`)]
  })
  return (await Promise.all(below)).flat().sort()
}

describe('tree', () => {
  it('writes the files of the commit with their modes and links, and no .git', async () => {
    const repository = await repositoryWith({
      'index.js': 'one',
      'bin/run': { executable: '#!/bin/sh\n' },
      'lib/latest': { link: '../index.js' },
      'lib/dir/self': { link: '../..' },
      dangling: { link: 'lib/nothing' },
      'loop-a': { link: 'loop-b' },
      'loop-b': { link: 'loop-a' },
    })
    const { directory, log } = await write(repository)
    expect(await files(directory)).toEqual([
      'bin',
      'bin/run',
      'dangling',
      'index.js',
      'lib',
      'lib/dir',
      'lib/dir/self',
      'lib/latest',
      'loop-a',
      'loop-b',
    ])
    expect((await lstat(join(directory, 'bin/run'))).mode & 0o111).toBe(0o111)
    expect(await readlink(join(directory, 'lib/latest'))).toBe('../index.js')
    expect(log).toMatch(/system: Cloning file:.*\nsystem: Checked out [0-9a-f]{7} \(7 files, \d+ bytes\)/)
  })

  it('writes into an existing empty directory, and rejects one that is not empty', async () => {
    const repository = await repositoryWith({ a: '1' })
    const directory = bench.target()
    await mkdir(directory, { recursive: true })
    expect(await files((await write(repository, {}, directory)).directory)).toEqual(['a'])
    await expect(write(repository, {}, directory)).rejects.toThrow(/must be empty/)
    expect(await files(directory)).toEqual(['a'])
  })

  it('writes the pinned commit even if the branch has moved', async () => {
    const repository = await repositoryWith({ a: '1' })
    const source = bench.source()
    const commit = await source.pin({ repository: ref(repository.url), branch: 'main', commit: null }, recordedIo())
    await repository.commit({ a: '2' }, 'second')
    const directory = bench.target()
    await source.tree(ref(repository.url), commit)(directory, recordedIo())
    expect(await readFile(join(directory, 'a'), 'utf8')).toBe('1')
  })

  it('runs no hooks or filters of the repository or the host', async () => {
    const repository = await repositoryWith({ '.gitattributes': '* filter=evil text=auto\n', a: '1\n' })
    const marker = join(bench.folder, 'marker')
    for (const hook of ['post-checkout', 'post-update', 'reference-transaction']) {
      await mkdir(join(repository.path, '.git/hooks'), { recursive: true })
      await writeFile(join(repository.path, '.git/hooks', hook), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 })
    }
    await repository.git(['config', 'filter.evil.smudge', `touch ${marker}; cat`])
    await repository.git(['config', 'uploadpack.packObjectsHook', `touch ${marker}; false`])
    const { directory } = await write(repository)
    expect(await files(directory)).toEqual(['.gitattributes', 'a'])
    await expect(access(marker)).rejects.toThrow(/ENOENT/)
  })

  it.each<[string, RepositoryFiles, string]>([
    ['an absolute link', { x: { link: '/etc/passwd' } }, 'x'],
    ['a link above the root', { 'a/b': { link: '../../etc/passwd' } }, 'a/b'],
    ['a link above the root and back', { x: { link: '../target/1/x' } }, 'x'],
    ['a link that leaves through another link', { d: { link: '.' }, x: { link: 'd/../up' } }, 'x'],
    ['a link below a link', { 'deep/er/real': '1', short: { link: 'deep/er' }, 'deep/er/x': { link: '../../..' } }, 'deep/er/x'],
    ['a link that climbs out of a missing folder', { x: { link: 'no/../../y' } }, 'x'],
  ])('rejects %s by name and leaves no files', async (_, content, name) => {
    const repository = await repositoryWith({ ok: '1', ...content })
    const directory = bench.target()
    const error = await refusal(write(repository, {}, directory))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(error.message).toContain(`"${name}"`)
    expect(await files(directory)).toEqual([])
  })

  it.each(['.git', '.GIT', '..'])('rejects a tree with a folder named %s', async (name) => {
    const repository = await repositoryWith({ ok: '1' })
    const blob = (await repository.git(['hash-object', '-w', '--stdin'], 'evil')).trim()
    const inner = (await repository.git(['mktree'], `100644 blob ${blob}\tconfig\n`)).trim()
    const tree = (await repository.git(['mktree'], `040000 tree ${inner}\t${name}\n`)).trim()
    const commit = (await repository.git(['commit-tree', tree, '-m', 'trick'])).trim()
    await repository.git(['update-ref', 'refs/heads/main', commit])
    const error = await refusal(write(repository))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(error.message).toContain(`"${name}/config"`)
  })

  it('rejects a tree that is larger than the limit, even if its pack is small', async () => {
    const repository = await repositoryWith({ big: 'x'.repeat(3_000_000) })
    expect(await refusal(write(repository, { limits: { treeBytes: 1_000_000 } }))).toMatchObject({
      code: 'SOURCE_REJECTED',
      message: 'The source is larger than 1000000 bytes.',
    })
  })

  it('stops a download that exceeds the limit', async () => {
    const noise = Buffer.concat(Array.from({ length: 40_000 }, (_, at) => createHash('sha256').update(String(at)).digest()))
    const repository = await repositoryWith({ noise })
    const error = await refusal(write(repository, { limits: { treeBytes: 500_000 } }))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED', message: 'The repository exceeds the size limit of a source.' })
  })

  it('rejects a tree with too many files', async () => {
    const repository = await repositoryWith({ a: '1', b: '2', c: '3' })
    expect(await refusal(write(repository, { limits: { treeFiles: 2 } }))).toMatchObject({ code: 'SOURCE_REJECTED' })
  })

  it('fails with COMMIT_NOT_FOUND for a commit that no longer exists', async () => {
    const repository = await repositoryWith({ a: '1' })
    const commit = { hash: 'd'.repeat(40), message: '', branch: 'main' }
    const error = await refusal(bench.source().tree(ref(repository.url), commit)(bench.target(), recordedIo()))
    expect(error).toMatchObject({ code: 'COMMIT_NOT_FOUND' })
  })

  it('throws the reason if it was aborted before it started', async () => {
    const repository = await repositoryWith({ a: '1' })
    const io = recordedIo()
    const reason = new Error('deadline')
    io.abort(reason)
    const source = bench.source()
    await expect(source.pin({ repository: ref(repository.url), branch: 'main', commit: null }, io)).rejects.toBe(reason)
    await expect(source.tree(ref(repository.url), { hash: 'a'.repeat(40), branch: 'main' })(bench.target(), io)).rejects.toBe(reason)
  })
})

describe('tree with submodules', () => {
  async function withSubmodule(url: string, child: GitRepository, path = 'libs/child'): Promise<GitRepository> {
    const parent = await repositoryWith({ top: '1' })
    const hash = (await child.git(['rev-parse', 'HEAD'])).trim()
    await parent.commit({ '.gitmodules': `[submodule "x.y"]\n\tpath = ${path}\n\turl = ${url}\n` }, 'modules')
    await parent.git(['update-index', '--add', '--cacheinfo', `160000,${hash},${path}`])
    await parent.git(['commit', '--quiet', '--message=link'])
    return parent
  }

  it('writes nested submodules, without any .git', async () => {
    const inner = await repositoryWith({ deep: '3' })
    const middle = await withSubmodule(inner.url, inner, 'inner')
    const outer = await withSubmodule(middle.url, middle)
    const { directory } = await write(outer)
    expect(await files(directory)).toEqual([
      ...[
        '.gitmodules',
        'libs',
        'libs/child',
        'libs/child/.gitmodules',
        'libs/child/inner',
        'libs/child/inner/deep',
        'libs/child/top',
        'top',
      ],
    ])
  })

  it('resolves a relative URL against the parent', async () => {
    const child = await repositoryWith({ c: '1' })
    const parent = await withSubmodule(`../${child.path.split('/').at(-1)}`, child)
    expect(await files((await write(parent)).directory)).toContain('libs/child/c')
  })

  it('writes the commit that the parent records, not the newest one', async () => {
    const child = await repositoryWith({ c: 'old' })
    const parent = await withSubmodule(child.url, child)
    await child.commit({ c: 'new' }, 'newer')
    expect(await readFile(join((await write(parent)).directory, 'libs/child/c'), 'utf8')).toBe('old')
  })

  it.each(['ext::sh -c id', '-u', 'git://host/a', 'http://10.0.0.1/a.git'])(
    'rejects the URL %s of a submodule and names it',
    async (url) => {
      const child = await repositoryWith({ c: '1' })
      const error = await refusal(write(await withSubmodule(url, child)))
      expect(error).toMatchObject({ code: 'SOURCE_REJECTED' })
      expect(error.message).toMatch(/^Submodule libs\/child: /)
    },
  )

  it('rejects a submodule outside the file roots', async () => {
    const child = await repositoryWith({ c: '1' })
    const parent = await withSubmodule(child.url, child)
    expect(await refusal(write(parent, { fileRoots: [parent.path] }))).toMatchObject({
      code: 'SOURCE_REJECTED',
      hint: expect.stringContaining('GIT_FILE_ROOTS'),
    })
  })

  it('rejects a link of a submodule that leaves the whole tree, and accepts one that stays within it', async () => {
    const good = await repositoryWith({ up: { link: '../../top' } })
    expect(await files((await write(await withSubmodule(good.url, good))).directory)).toContain('libs/child/up')
    const bad = await repositoryWith({ up: { link: '../../../top' } })
    const error = await refusal(write(await withSubmodule(bad.url, bad)))
    expect(error.message).toContain('"libs/child/up"')
  })

  it('leaves the folder of a submodule without a URL empty, and logs a message', async () => {
    const child = await repositoryWith({ c: '1' })
    const parent = await withSubmodule(child.url, child)
    await parent.git(['rm', '--quiet', '--cached', '.gitmodules'])
    await parent.git(['commit', '--quiet', '--message=forget'])
    const { directory, log } = await write(parent)
    expect(await readdir(join(directory, 'libs/child'))).toEqual([])
    expect(log).toContain('The submodule libs/child has no URL')
  })
})

describe('tree with LFS over file:', () => {
  const content = 'a large thing'
  const oid = createHash('sha256').update(content).digest('hex')
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n`
  const tracked = { '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n', 'a/b.bin': pointer, 'c.txt': pointer }

  it('replaces a pointer with its object if the attributes select it', async () => {
    const repository = await repositoryWith(tracked)
    const place = join(repository.path, '.git/lfs/objects', oid.slice(0, 2), oid.slice(2, 4))
    await mkdir(place, { recursive: true })
    await writeFile(join(place, oid), content)
    const { directory } = await write(repository)
    expect(await readFile(join(directory, 'a/b.bin'), 'utf8')).toBe(content)
    expect(await readFile(join(directory, 'c.txt'), 'utf8')).toBe(pointer)
  })

  it('fails for a missing object, instead of keeping the pointer', async () => {
    const directory = bench.target()
    const error = await refusal(write(await repositoryWith(tracked), {}, directory))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED', message: expect.stringContaining('LFS object') })
    expect(await files(directory)).toEqual([])
  })
})
