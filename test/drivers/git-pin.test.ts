import { mkdir, readFile, realpath, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRepository, type GitRepository } from '../support/git-repository.ts'
import { createBench, type GitBench, pathWith, recordedIo, ref, refusal } from './git-support.ts'

let bench: GitBench
let repository: GitRepository

beforeEach(async () => {
  bench = await createBench()
  repository = await createRepository({ 'index.js': 'one' })
  bench.own(repository)
})

afterEach(async () => {
  await bench.close()
})

const pin = (commit: string | null, branch = 'main', url = repository.url) =>
  bench.source().pin({ repository: ref(url), branch, commit }, recordedIo())

describe('pin over file:', () => {
  it('returns the newest commit of a branch with its full message', async () => {
    const hash = await repository.commit({ a: '1' }, 'Add a\n\nBecause it was missing.\n')
    expect(await pin(null)).toEqual({ hash, message: 'Add a\n\nBecause it was missing.', author: 'Ada', branch: 'main' })
  })

  it('accepts the full name of a branch, and a tag in place of a branch', async () => {
    const { hash } = await pin(null)
    await repository.git(['tag', 'v1'])
    await repository.git(['tag', '--annotate', '--message=second', 'v2'])
    await repository.git(['branch', 'refs-heads'])
    const newest = await repository.commit({ a: '1' }, 'Add a')
    for (const branch of ['v1', 'v2', 'refs/tags/v1', 'refs/tags/v2']) {
      expect(await pin(null, branch)).toMatchObject({ hash, branch: branch.slice(-2) })
    }
    expect(await pin(null, 'refs/heads/main')).toMatchObject({ hash: newest, branch: 'main' })
    expect(await pin('refs/tags/v2')).toMatchObject({ hash, branch: 'main' })
    expect(await pin('refs/heads/refs-heads')).toMatchObject({ hash, branch: 'refs-heads' })
    // A branch takes precedence over a tag of the same name, unless the full name of the tag is given.
    await repository.git(['branch', 'v1', hash])
    await repository.git(['tag', '--force', 'v1', 'main'])
    expect(await pin(null, 'v1')).toMatchObject({ hash })
    expect(await pin(null, 'refs/tags/v1')).toMatchObject({ hash: newest })
    for (const branch of ['refs/heads/v2', 'refs/tags/main', 'refs/other/main']) {
      expect(await refusal(pin(null, branch))).toMatchObject({ code: 'COMMIT_NOT_FOUND' })
    }
  })

  it('writes the tree of a tag that was deployed as a branch', async () => {
    await repository.git(['tag', '--annotate', '--message=first', 'v1'])
    await repository.commit({ 'index.js': 'two' }, 'Second')
    const commit = await pin(null, 'v1')
    const directory = join(bench.folder, 'tree')
    await mkdir(directory)
    await bench.source().tree(ref(repository.url), commit)(directory, recordedIo())
    expect(await readFile(join(directory, 'index.js'), 'utf8')).toBe('one')
  })

  it('logs its progress as system messages', async () => {
    const io = recordedIo()
    const { hash } = await bench.source().pin({ repository: ref(repository.url), branch: 'main', commit: null }, io)
    expect(io.text()).toBe(`system: Resolving main in ${repository.url}\nsystem: Resolved to commit ${hash.slice(0, 7)} first\n`)
  })

  it('accepts a plain path, a path with a space and a bare repository', async () => {
    const bare = join(bench.folder, 'with space.git')
    await repository.git(['clone', '--quiet', '--bare', '.', bare])
    const { hash } = await pin(null)
    expect((await pin(null, 'main', repository.path)).hash).toBe(hash)
    expect((await pin(null, 'main', bare)).hash).toBe(hash)
    expect((await pin(null, 'main', `file://${encodeURI(bare)}`)).hash).toBe(hash)
    expect((await pin(null, 'main', bare.slice(0, -'.git'.length))).hash).toBe(hash)
  })

  it('prefers the commit to the branch: a full hash, a short hash, a tag, an annotated tag or a branch', async () => {
    const first = (await repository.git(['rev-parse', 'HEAD'])).trim()
    await repository.git(['tag', 'light'])
    await repository.git(['tag', '--annotate', '--message=release', 'v1.0'])
    await repository.branch('feature/x')
    const second = await repository.commit({ b: '2' }, 'second')
    await repository.branch('main')
    await repository.commit({ c: '3' }, 'third')
    expect(await pin(first)).toEqual({ hash: first, message: 'first', author: 'Ada', branch: 'main' })
    expect((await pin(first.toUpperCase())).hash).toBe(first)
    expect(await pin(first.slice(0, 7))).toEqual({ hash: first, message: 'first', author: 'Ada', branch: 'main' })
    expect((await pin('light')).hash).toBe(first)
    expect(await pin('v1.0')).toEqual({ hash: first, message: 'first', author: 'Ada', branch: 'main' })
    expect(await pin('feature/x')).toEqual({ hash: second, message: 'second', author: 'Ada', branch: 'feature/x' })
  })

  it('resolves the hash of an annotated tag to its commit', async () => {
    await repository.git(['tag', '--annotate', '--message=release', 'v1.0'])
    const tagHash = (await repository.git(['rev-parse', 'v1.0'])).trim()
    const { hash } = await pin(tagHash)
    expect(hash).toBe((await repository.git(['rev-parse', 'HEAD'])).trim())
  })

  it('finds a short hash deep in the history', async () => {
    const first = (await repository.git(['rev-parse', 'HEAD'])).trim()
    for (let at = 0; at < 60; at += 1) await repository.git(['commit', '--quiet', '--allow-empty', `--message=${at}`])
    expect((await pin(first.slice(0, 10))).hash).toBe(first)
  })

  it('truncates a message at 2,000 characters, and never within a character', async () => {
    await repository.commit({}, `${'x'.repeat(1_999)}😀${'y'.repeat(100)}`)
    expect((await pin(null)).message).toBe('x'.repeat(1_999))
  })

  it('reads a repository with SHA-256 hashes', async () => {
    const other = await createRepository()
    try {
      await other.git(['init', '--quiet', '--object-format=sha256', '--initial-branch=main', 'inner'])
      await other.git(['-C', 'inner', 'commit', '--quiet', '--allow-empty', '--message=wide'])
      const { hash } = await pin(null, 'main', join(other.path, 'inner'))
      expect(hash).toMatch(/^[0-9a-f]{64}$/)
    } finally {
      await other.close()
    }
  })

  it('rejects an unknown branch by name and lists the existing ones', async () => {
    const error = await refusal(pin(null, 'nope'))
    expect(error).toMatchObject({
      name: 'PortError',
      code: 'COMMIT_NOT_FOUND',
      message: 'There is no branch nope.',
      hint: 'The repository has: main',
    })
  })

  it.each(['deadbeef', 'd'.repeat(40), 'v9.9'])('rejects the unknown commit %s by name', async (commit) => {
    const error = await refusal(pin(commit))
    expect(error).toMatchObject({ code: 'COMMIT_NOT_FOUND' })
    expect(error.message).toContain(commit)
  })

  it('rejects the hash of an object that is not a commit', async () => {
    const tree = (await repository.git(['rev-parse', 'HEAD^{tree}'])).trim()
    expect(await refusal(pin(tree))).toMatchObject({ code: 'COMMIT_NOT_FOUND' })
  })

  it('rejects an empty repository because it does not have the branch', async () => {
    const empty = await createRepository()
    try {
      const error = await refusal(pin(null, 'main', empty.url))
      expect(error).toMatchObject({ code: 'COMMIT_NOT_FOUND', message: 'There is no branch main: the repository is empty.' })
    } finally {
      await empty.close()
    }
  })

  it('fails with REPOSITORY_MISSING if there is no repository', async () => {
    await mkdir(join(bench.folder, 'plain'))
    expect(await refusal(pin(null, 'main', join(bench.folder, 'plain')))).toMatchObject({ code: 'REPOSITORY_MISSING' })
    expect(await refusal(pin(null, 'main', join(bench.folder, 'none')))).toMatchObject({ code: 'REPOSITORY_MISSING' })
  })

  it.each([
    ['main', '-x'],
    ['main', 'a b'],
    ['main', 'HEAD~1'],
    ['main', 'a\nb'],
    ['main', ''],
    ['--upload-pack=x', null],
  ])('rejects branch %j with commit %j before it contacts the remote', async (branch, commit) => {
    expect(await refusal(pin(commit, branch))).toMatchObject({ code: 'SOURCE_REJECTED' })
  })

  it('reads a repository that belongs to another account', async () => {
    const hostPath = await pathWith(bench.folder, 'git', 'export GIT_TEST_ASSUME_DIFFERENT_OWNER=1\nreal "$@"')
    const source = bench.source({ hostPath })
    expect((await source.pin({ repository: ref(repository.url), branch: 'main', commit: null }, recordedIo())).message).toBe('first')
  })
})

describe('check', () => {
  const code = (url: string, branch = 'main', options = {}) => {
    try {
      bench.source(options).check(url, branch)
      return null
    } catch (error) {
      return error as { code: string; message: string; hint?: string }
    }
  }

  it.each(['https://host/a.git', 'http://host/a', 'ssh://git@host/a', 'git@host:a/b', 'file:///srv/a', '/srv/a'])('accepts %s', (url) => {
    expect(code(url)).toBeNull()
  })

  it.each(['ext::sh -c id', 'fd::3', 'x::y', '-a', 'git://host/a', 'a', 'https://host/a\n', 'https://u:p@host/a'])('rejects %j', (url) => {
    expect(code(url)).toMatchObject({ code: 'SOURCE_REJECTED' })
  })

  it('rejects an invalid branch name', () => {
    expect(code('https://host/a', '-b')).toMatchObject({
      code: 'SOURCE_REJECTED',
      message: 'The branch name is not valid: the name begins with "-".',
    })
  })

  it('names GIT_FILE_ROOTS if a file: repository is outside all roots', () => {
    expect(code('/srv/a', 'main', { fileRoots: [] })?.hint).toMatch(/GIT_FILE_ROOTS/)
    expect(code('file:///srv/a', 'main', { fileRoots: ['/home'] })).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(code('/home/../srv/a', 'main', { fileRoots: ['/home'] })).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(code('/homely/a', 'main', { fileRoots: ['/home'] })).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(code('/home/a', 'main', { fileRoots: ['/home'] })).toBeNull()
  })

  it('rejects the data directory even if it is inside a root', () => {
    expect(code('/data/quayside/a', 'main', { forbiddenRoots: ['/data/quayside'] })).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(code('/data/quayside2/a', 'main', { forbiddenRoots: ['/data/quayside'] })).toBeNull()
  })

  it('rejects a link that leads out of a root', async () => {
    const root = await realpath(bench.folder)
    await symlink(repository.path, join(root, 'link'))
    expect(code(join(root, 'link'), 'main', { fileRoots: [root] })).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect(code(join(root, 'link', 'deeper'), 'main', { fileRoots: [root] })).toMatchObject({ code: 'SOURCE_REJECTED' })
  })

  it('rejects a worktree whose file .git leads out of a root', async () => {
    const root = await realpath(bench.folder)
    await repository.git(['worktree', 'add', '--quiet', join(root, 'tree'), '-b', 'other'])
    const inside = bench.source({ fileRoots: [root] })
    const request = { repository: ref(join(root, 'tree')), branch: 'main', commit: null }
    expect(await refusal(inside.pin(request, recordedIo()))).toMatchObject({ code: 'SOURCE_REJECTED' })
    expect((await bench.source().pin(request, recordedIo())).branch).toBe('main')
  })
})
