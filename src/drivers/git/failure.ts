/** Maps git's error messages to the codes of the port. git has no error codes, so its English messages are matched (LC_ALL is set). */
import type { RepositoryRef, SourceFailureCode } from '../../domain/deploys/deployment/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { GitResult } from './command.ts'

export type FailureContext = { transport: 'https' | 'http' | 'ssh' | 'file'; hasCredential: boolean }

export const contextOf = (
  { protocol }: { protocol: FailureContext['transport'] },
  { credential, sshKey }: RepositoryRef,
): FailureContext => ({
  transport: protocol,
  hasCredential: (protocol === 'ssh' ? sshKey : credential) !== null,
})

type SourceError = PortError<SourceFailureCode | 'NO_CAPACITY'>

export function explainFailure(result: GitResult, context: FailureContext): SourceError {
  const rule = rules.find(({ pattern }) => pattern.test(result.stderr))
  const options = { exitCode: result.exitCode ?? undefined }
  if (rule === undefined) return new PortError('SOURCE_UNREACHABLE', `git failed: ${lastLine(result)}`, options)
  const hint = typeof rule.hint === 'function' ? rule.hint(context) : rule.hint
  return new PortError(rule.code, rule.message ?? lastLine(result), { ...options, ...(hint === undefined ? {} : { hint }) })
}

/** Whether the server does not serve the commit by its hash, or does not have it. It may still be found in a branch. */
export function isUnadvertised(result: GitResult): boolean {
  return /not our ref|unadvertised object|no such remote ref [0-9a-f]{40}|bad object [0-9a-f]{40}/i.test(result.stderr)
}

export function isUnknownRef(result: GitResult): boolean {
  return /couldn't find remote ref/i.test(result.stderr)
}

export const commitNotFound = (message: string, hint?: string) =>
  new PortError<SourceFailureCode>('COMMIT_NOT_FOUND', message, hint === undefined ? {} : { hint })

export const sourceRejected = (message: string, hint?: string) =>
  new PortError<SourceFailureCode>('SOURCE_REJECTED', message, hint === undefined ? {} : { hint })

const rules: {
  pattern: RegExp
  code: SourceFailureCode | 'NO_CAPACITY'
  message?: string
  hint?: string | ((context: FailureContext) => string)
}[] = [
  {
    pattern: /No space left on device|Disk quota exceeded/i,
    code: 'NO_CAPACITY',
    message: 'There is not enough disk space for the source.',
    hint: 'Free space on the disk of DATA_DIR.',
  },
  {
    pattern: /File too large/i,
    code: 'SOURCE_REJECTED',
    message: 'The repository exceeds the size limit of a source.',
  },
  {
    pattern: /Authentication failed|could not read (Username|Password)|returned error: 40[13]|Permission denied|Access denied|HTTP Basic/i,
    code: 'SOURCE_UNREACHABLE',
    message: 'The remote requires credentials, or rejected the credentials it received.',
    hint: authenticationHint,
  },
  {
    pattern: /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i,
    code: 'SOURCE_UNREACHABLE',
    message: "The remote's ssh host key has changed.",
    hint: 'Somebody may be intercepting the connection. If the change is legitimate, remove the lines of this host from the file git/known_hosts in DATA_DIR.',
  },
  {
    pattern:
      /repository .* not found|Repository not found|does not appear to be a git repository|does not exist|returned error: 404|info\/refs not valid|not a git repository/i,
    code: 'REPOSITORY_MISSING',
    message: 'The repository does not exist on the remote.',
    hint: 'Check the URL. Some hosts also answer this way for a private repository. If it is private, add a token to the URL: https://user:token@host/path.',
  },
  {
    pattern: /redirect|returned error: 30\d/i,
    code: 'SOURCE_UNREACHABLE',
    message: 'The remote redirects to another URL, and redirects are not followed.',
    hint: 'Use the URL that the remote redirects to. It often ends in .git, or uses https instead of http.',
  },
  {
    pattern: /Could not resolve host/i,
    code: 'SOURCE_UNREACHABLE',
    message: 'The host name of the remote could not be resolved.',
    hint: 'Check the host in the URL.',
  },
  {
    // Its objects come in separate files, whose total size no limit bounds.
    pattern: /dumb http transport/i,
    code: 'SOURCE_UNREACHABLE',
    message: 'The server offers the repository as plain files ("dumb HTTP"), which does not support fetching a single commit.',
    hint: 'Serve the repository with git http-backend or a git host, or use an ssh URL.',
  },
  {
    pattern: /certificate|SSL|TLS/i,
    code: 'SOURCE_UNREACHABLE',
    message: "The remote's TLS certificate was not accepted, or a TLS connection could not be established.",
    hint: 'The certificate must be valid for the host and issued by an authority that this machine trusts.',
  },
  {
    pattern:
      /timed out|too slow|transfer closed|early EOF|hung up|unexpected disconnect|RPC failed|Empty reply|reset by peer|Failed to connect/i,
    code: 'SOURCE_UNREACHABLE',
    message: 'The connection to the remote was lost, or was idle for too long.',
    hint: 'Deploy again. If the error persists, check the remote and the network.',
  },
  {
    pattern: /invalid path|File name too long|unable to create symlink|Invalid argument/i,
    code: 'SOURCE_REJECTED',
  },
]

function authenticationHint({ transport, hasCredential }: FailureContext): string {
  if (transport === 'ssh')
    return hasCredential
      ? 'Add the public key of the SSH key of this service to the repository as a deploy key. Read access is sufficient.'
      : 'ssh requires a deploy key that the remote accepts. Set sshKeyId of the service to an SSH key whose public key is a deploy key of the repository. Without one, use an https URL with a token: https://user:token@host/path.'
  if (transport === 'file') return 'The account that runs Quayside does not have permission to read the repository.'
  if (hasCredential) return 'Check that the token is correct, has not expired and has permission to read this repository.'
  return 'A private repository requires a token. Add it to the URL: https://user:token@host/path. It is stored encrypted.'
}

function lastLine(result: GitResult): string {
  const lines = result.stderr.split('\n').filter((line) => line.trim() !== '')
  const line = lines.findLast((text) => /^(fatal|error):/.test(text)) ?? lines.at(-1)
  return (
    line?.replace(/^(fatal|error): /, '').slice(0, 500) ??
    `it exited with ${result.exitCode === null ? 'a signal' : `code ${result.exitCode}`} and printed nothing`
  )
}
