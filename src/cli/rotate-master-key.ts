/**
 * `npm run rotate-master-key`: rewraps every data key with the newest master key, while servers run. If it is interrupted, run it again. If
 * all data keys use the newest key already, it first adds a new one to `DATA_DIR/master.key`.
 */
import { rotateMasterKey } from '../platform/crypto.ts'
import { readSettings } from '../platform/settings.ts'
import { isOperatorError, openApp } from './open-app.ts'

try {
  const settings = readSettings()
  const { app, close } = await openApp(settings)
  try {
    const { version, rewrapped, added } = await rotateMasterKey(app.db, settings)
    if (added) console.log(`Added master key version ${version}.`)
    console.log(
      `${rewrapped} data key${rewrapped === 1 ? '' : 's'} wrapped with master key version ${version}. No data key uses an older version.`,
    )
    console.log(
      'Older versions are needed only to restore older backups. A server that has only older versions may still wrap a new key with them, so restart it first.',
    )
  } finally {
    await close()
  }
} catch (error) {
  if (!isOperatorError(error)) throw error
  console.error(error.message)
  process.exitCode = 1
}
