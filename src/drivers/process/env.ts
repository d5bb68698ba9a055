/** The base environment of all commands. It contains nothing of the control plane's own environment. */
import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import type { CellPaths } from './sandbox.ts'

const hostCertificates = '/etc/ssl/certs/ca-certificates.crt'

/** For instances and release commands. Programs that the build installed into the tree come first in the PATH. */
export function runEnv(paths: CellPaths, workingDirectory: string, tools: readonly string[]): Record<string, string> {
  const work = posix.join(paths.app, workingDirectory)
  return {
    PATH: `${work}/.venv/bin:${work}/node_modules/.bin:${paths.path}`,
    HOME: paths.home,
    TMPDIR: paths.temporary,
    LANG: 'C.UTF-8',
    USER: 'app',
    SHELL: '/bin/sh',
    // With Plug'n'Play, each start would require Yarn.
    ...(tools.some((name) => name.startsWith('yarn-berry-')) ? { YARN_NODE_LINKER: 'node-modules', YARN_ENABLE_TELEMETRY: '0' } : {}),
  }
}

/** For build commands: also persistent caches, and the certificates that the host trusts, which its package mirror may require. */
export function buildEnv(paths: CellPaths, workingDirectory: string, tools: readonly string[]): Record<string, string> {
  const env: Record<string, string> = { ...runEnv(paths, workingDirectory, tools), CI: 'true', npm_config_update_notifier: 'false' }
  if (paths.cache !== null) {
    env.npm_config_cache = join(paths.cache, 'npm')
    env.PIP_CACHE_DIR = join(paths.cache, 'pip')
    env.XDG_CACHE_HOME = join(paths.cache, 'xdg')
    env.GOMODCACHE = join(paths.cache, 'go')
  }
  if (existsSync(hostCertificates)) for (const name of ['SSL_CERT_FILE', 'PIP_CERT', 'NODE_EXTRA_CA_CERTS']) env[name] = hostCertificates
  return env
}
