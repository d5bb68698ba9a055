/**
 * The source of code: the git of the host, kept on a short leash. Each call names the one protocol that it may use, connects
 * only to addresses that the egress guard gave, runs no hook, and sees nothing of the host's git settings, keys or
 * credentials. What a deployment does with a tree is not decided here.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Source, SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { validateBranch } from '../../platform/repository-url.ts'
import { defaultLimits, type GitSettings, type GitSourceOptions } from './options.ts'
import { pinCommit } from './pin.ts'
import { removeLeftovers } from './session.ts'
import { parseAddress } from './transport.ts'
import { treeWriter } from './tree.ts'

export type { GitLimits, GitSourceOptions } from './options.ts'

export function createGitSource({ limits, ...options }: GitSourceOptions): Source {
  const settings: GitSettings = { ...options, limits: { ...defaultLimits, ...limits } }
  let ready: Promise<void> | undefined
  const prepare = () => {
    ready ??= requireGit(settings.hostPath)
    // Asked again next time: git may be installed in the meantime.
    ready.catch(() => {
      ready = undefined
    })
    return ready
  }

  return {
    check(url, branch) {
      parseAddress(url, settings)
      const reason = validateBranch(branch)
      if (reason !== null) throw new PortError<SourceFailureCode>('SOURCE_REJECTED', `The branch name is not valid: ${reason}.`)
    },
    async pin(request, io) {
      io.signal.throwIfAborted()
      await prepare()
      return pinCommit(request, settings, io)
    },
    sweep: () => removeLeftovers(settings.workDir),
    tree(repository, commit) {
      const write = treeWriter(repository, commit, settings)
      return async (directory, io) => {
        io.signal.throwIfAborted()
        await prepare()
        await write(directory, io)
      }
    },
  }
}

/** http.curloptResolve came with 2.37; an older git would ignore it and ask DNS again, past the egress guard. */
async function requireGit(hostPath: string): Promise<void> {
  const hint = 'Install git 2.37 or later on the machine that runs Quayside.'
  const { stdout } = await promisify(execFile)('git', ['version'], { env: { PATH: hostPath } }).catch((cause) => {
    throw new PortError<SourceFailureCode>('SOURCE_UNREACHABLE', 'git is not installed on this machine.', { hint, cause })
  })
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(stdout) ?? []
  if (Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 37)) return
  throw new PortError<SourceFailureCode>('SOURCE_UNREACHABLE', `git ${major}.${minor} is too old. Version 2.37 or later is required.`, {
    hint,
  })
}
