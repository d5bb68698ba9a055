/**
 * The source driver: runs the host's git with restrictions. Each call allows a single protocol, connects only to addresses that the
 * egress guard has approved, runs no hooks, and has no access to the host's git configuration, keys or credentials.
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
    // Checked again next time: git may have been installed.
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

/** Versions before 2.37 ignore http.curloptResolve and would resolve names again, bypassing the egress guard. */
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
