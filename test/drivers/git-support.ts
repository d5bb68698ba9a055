/** Shared by the tests of the git driver: a driver on temporary folders, and readable output. */
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { RepositoryRef, Source } from '../../src/domain/deploys/deployment/ports.ts'
import type { StepIo } from '../../src/domain/deploys/instance/ports.ts'
import { createGitSource, type GitSourceOptions } from '../../src/drivers/git/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import type { PortError } from '../../src/platform/errors.ts'
import { type GitHttpOptions, type GitHttpServer, serveGit } from '../support/git-http-server.ts'
import type { GitRepository } from '../support/git-repository.ts'

export type GitBench = {
  /** Temporary folder of the test, without symbolic links in its path. */
  folder: string
  workDir: string
  source(options?: Partial<GitSourceOptions>): Source
  /** Path of a directory that does not exist yet. */
  target(): string
  /** Closes the resource before the folder is removed. Resources are closed in the order of these calls. */
  own(resource: { close(): Promise<void> }): void
  /** Serves all repositories of the factory. Returns the URL of this one too. */
  serve(repository: GitRepository, options?: Partial<GitHttpOptions>): Promise<GitHttpServer & { repositoryUrl: string }>
  /** Removes everything. Fails if the driver has left a folder behind. */
  close(): Promise<void>
}

export async function createBench(): Promise<GitBench> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'quayside-git-')))
  const workDir = join(folder, 'work')
  const owned: { close(): Promise<void> }[] = []
  let targets = 0
  return {
    folder,
    workDir,
    source: (options) =>
      createGitSource({
        guard: createEgressGuard({ allow: ['127.0.0.0/8'] }),
        fileRoots: ['/'],
        forbiddenRoots: [],
        hostPath: process.env.PATH ?? '',
        workDir,
        ...options,
      }),
    target: () => join(folder, 'target', String(++targets)),
    own: (resource) => owned.push(resource),
    async serve(repository, options) {
      const server = await serveGit({ root: dirname(repository.path), ...options })
      owned.push(server)
      return { ...server, repositoryUrl: `${server.url}/${basename(repository.path)}/.git` }
    },
    async close() {
      for (const resource of owned) await resource.close()
      const left = await leftovers(workDir)
      await rm(folder, { recursive: true, force: true })
      if (left.length > 0) throw new Error(`the driver left ${left.join(', ')}`)
    },
  }
}

export type RecordedIo = StepIo & { text(): string; abort(reason: unknown): void }

export function recordedIo(): RecordedIo {
  const controller = new AbortController()
  let seen = ''
  return {
    signal: controller.signal,
    output: (stream, bytes) => {
      seen += `${stream}: ${Buffer.from(bytes).toString('utf8')}`
    },
    text: () => seen,
    abort: (reason) => controller.abort(reason),
  }
}

export const ref = (
  url: string,
  credential: RepositoryRef['credential'] = null,
  sshKey: RepositoryRef['sshKey'] = null,
): RepositoryRef => ({ url, credential, sshKey })

/** The PortError with which a promise rejects. */
export async function refusal(promise: Promise<unknown>): Promise<PortError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if (!('error' in outcome)) throw new Error(`nothing was refused: ${JSON.stringify(outcome.value)}`)
  return outcome.error as PortError
}

/** A PATH on which `name` is a shell script. In the script, `real` is the program that this name referred to before. */
export async function pathWith(folder: string, name: string, script: string): Promise<string> {
  const bin = join(folder, 'bin')
  const path = process.env.PATH ?? ''
  await mkdir(bin, { recursive: true })
  await writeFile(join(bin, name), `#!/bin/sh\nreal() { PATH='${path}' command ${name} "$@"; }\n${script}\n`, { mode: 0o755 })
  return `${bin}:${path}`
}

/** Folders that remain in the work folder of the driver. */
export async function leftovers(workDir: string): Promise<string[]> {
  const names = await readdir(workDir).catch(() => [])
  return names.filter((name) => name.startsWith('session-'))
}
