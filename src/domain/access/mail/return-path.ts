/** The envelope sender of mails. If Quayside receives reports, it is an address that names the mail by its signed token. */
import type { Settings } from '../../../platform/settings.ts'

export type ReturnPath = { address: string; takesReports: boolean }

/** `own`: the address that reports go to if Quayside receives none. */
export function returnPathOf(_settings: Settings, own: string, _token: string): ReturnPath {
  return { address: own, takesReports: false }
}
