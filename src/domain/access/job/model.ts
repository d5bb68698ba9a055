/** Jobs: rows of queues that wait, are being worked on, or have failed. Each concept says which of its rows are jobs, and which can be retried. */
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

export const jobStatuses = ['QUEUED', 'RUNNING', 'FAILED'] as const
export type JobStatus = (typeof jobStatuses)[number]

export type JobRow = {
  id: string
  type: string
  status: JobStatus
  /** How often a worker has begun with it. */
  attempts: number
  error: string | null
  organizationId: string | null
  createdAt: Date
  finishedAt: Date | null
}

export type JobSource = {
  name: string
  /** A statement that selects the columns of JobRow, of rows that have not succeeded. Its `id` is that of a row, in the order of creation. */
  jobs: Sql
  /** Puts a failed job back on the queue. Throws `job_not_retryable`, with the reason, if that is not possible. */
  retry(work: Work, job: JobRow): Promise<unknown>
}

export const jobSources = defineExtensionPoint<JobSource>('kinds of jobs')
