/** Creates real git repositories in a temporary folder, for tests and the demo. The host's git configuration is ignored. */
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'

/** Content by path. `link` creates a symbolic link, null removes the file. */
export type RepositoryFiles = Record<string, string | Buffer | { link: string } | { executable: string } | null>

export type GitRepository = {
  /** Absolute path, with symbolic links resolved. */
  path: string
  /** The path as a file:// URL. */
  url: string
  /** Commits to the current branch and returns the full hash. */
  commit(files: RepositoryFiles, message: string): Promise<string>
  /** Checks out the branch, and creates it if it does not exist. */
  branch(name: string): Promise<void>
  /** Runs git in the repository and returns its output. Throws with its stderr if it fails. */
  git(args: string[], stdin?: string): Promise<string>
  close(): Promise<void>
}

/** A repository with `main` checked out and the files as its first commit. Without files, it is empty. */
export async function createRepository(files: RepositoryFiles = {}): Promise<GitRepository> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'quayside-repository-')))
  const git = (args: string[], stdin = '') => runGit(path, args, stdin)
  await git(['init', '--quiet', '--initial-branch=main', '--template='])

  const commit = async (changed: RepositoryFiles, message: string) => {
    for (const [name, content] of Object.entries(changed)) await put(join(path, name), content)
    await git(['add', '--all'])
    await git(['commit', '--quiet', '--allow-empty', '--cleanup=verbatim', '--file=-'], message)
    return (await git(['rev-parse', 'HEAD'])).trim()
  }
  if (Object.keys(files).length > 0) await commit(files, 'first')

  return {
    path,
    url: pathToFileURL(path).href,
    git,
    commit,
    async branch(name) {
      const known = await git(['branch', '--list', name])
      await git(known.trim() === '' ? ['checkout', '--quiet', '-b', name] : ['checkout', '--quiet', name])
    },
    close: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  }
}

/** The files of a folder, by their path within it. */
export async function filesOf(folder: string): Promise<RepositoryFiles> {
  const files: RepositoryFiles = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files[relative(folder, path)] = await readFile(path)
  }
  return files
}

async function put(path: string, content: RepositoryFiles[string]): Promise<void> {
  await rm(path, { force: true })
  if (content === null || content === undefined) return
  await mkdir(dirname(path), { recursive: true })
  if (typeof content === 'string' || Buffer.isBuffer(content)) return writeFile(path, content)
  if ('link' in content) return symlink(content.link, path)
  await writeFile(path, content.executable)
  await chmod(path, 0o755)
}

async function runGit(cwd: string, args: string[], stdin: string): Promise<string> {
  const child = spawn('git', ['-c', 'protocol.file.allow=always', ...args], {
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: cwd,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_AUTHOR_NAME: 'Ada',
      GIT_AUTHOR_EMAIL: 'ada@example.com',
      GIT_COMMITTER_NAME: 'Ada',
      GIT_COMMITTER_EMAIL: 'ada@example.com',
    },
  })
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const [stdout, stderr, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  if (exitCode !== 0) throw new Error(`git ${args[0]} ended with ${exitCode}: ${stderr}`)
  return stdout
}
