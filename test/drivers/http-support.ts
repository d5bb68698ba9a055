/** A certificate authority for tests, created with openssl. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Authority = {
  /** Creates `<file>.key` and `<file>.pem`: a certificate for names such as `DNS:hooks.test`, valid for a number of days from now. */
  issue(file: string, names: string, days: number): void
  /** Contents of a file such as `<name>.pem`. `ca.pem` is that of the authority. */
  pem(name: string): string
  close(): void
}

export function createAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'quayside-tls-'))
  const openssl = (args: string) => execFileSync('openssl', args.split(' '), { cwd: folder, stdio: 'pipe' })
  const newKey = 'req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
  openssl(`${newKey} -x509 -keyout ca.key -out ca.pem -subj /CN=test-authority -days 2`)
  return {
    issue(file, names, days) {
      writeFileSync(join(folder, `${file}.ext`), `subjectAltName=${names}\n`)
      openssl(`${newKey} -keyout ${file}.key -out ${file}.csr -subj /CN=test`)
      openssl(`x509 -req -in ${file}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days ${days} -extfile ${file}.ext -out ${file}.pem`)
    },
    pem: (name) => readFileSync(join(folder, name), 'utf8'),
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}
