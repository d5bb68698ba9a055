/**
 * Points of the use of CPU and memory, one row for each service and hour. A point is appended to the arrays of the row, so that nothing has to
 * be read or kept in memory, and all services are written by one statement. A row has at most `pointsPerHour` points, and is deleted after a day.
 */
import { rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { Capacity } from '../../../platform/usage.ts'
import type { Round, Sample } from './model.ts'

/** A bound for the size of a row. There are 60 unless USAGE_SAMPLE_MS is shortened. */
const pointsPerHour = 720

/** The longest time that can be read. */
export const historySeconds = 86_400

/** Adds a point to each service, with the time of the database. Services that were deleted meanwhile are left out. */
export async function appendPoints(tx: Tx, points: ReadonlyMap<string, Round>, capacity: Capacity | null): Promise<void> {
  const values = [...points.values()]
  await run(
    tx,
    sql`insert into service_usage as u
          (web_service_id, organization_id, hour, seconds, millicores, memory_bytes, instances, capacity_millicores, capacity_bytes)
        select s.id, s.organization_id, t.hour, array[extract(epoch from t.now - t.hour)::smallint],
               array[p.millicores], array[p.memory_bytes], array[p.instances], ${capacity?.millicores}::int, ${capacity?.memoryBytes}::bigint
        from unnest(${[...points.keys()]}::uuid[], ${values.map(({ millicores }) => millicores)}::int[],
                    ${values.map(({ memoryBytes }) => memoryBytes)}::bigint[], ${values.map(({ instances }) => instances)}::smallint[])
               as p(id, millicores, memory_bytes, instances)
        join web_service s on s.id = p.id
        cross join (select n.now, date_trunc('hour', n.now, 'UTC') as hour from (select app_now() as now) n) t
        for key share of s
        on conflict (web_service_id, hour) do update
        set seconds = u.seconds || excluded.seconds, millicores = u.millicores || excluded.millicores,
            memory_bytes = u.memory_bytes || excluded.memory_bytes, instances = u.instances || excluded.instances,
            capacity_millicores = excluded.capacity_millicores, capacity_bytes = excluded.capacity_bytes
        where cardinality(u.seconds) < ${pointsPerHour}`,
  )
}

/** Points of services in the last `seconds`, in the order of the ids, oldest first. */
export async function readPoints(tx: Tx, serviceIds: readonly string[], seconds: number): Promise<Sample[][]> {
  const found = await rows<Sample & { webServiceId: string }>(
    tx,
    sql`select x.* from (
          select u.web_service_id, u.hour + p.second * interval '1 second' as at, p.millicores, p.memory_bytes::float8 as memory_bytes,
                 p.instances::int as instances, u.capacity_millicores, u.capacity_bytes::float8 as capacity_bytes
          from service_usage u, unnest(u.seconds, u.millicores, u.memory_bytes, u.instances) as p(second, millicores, memory_bytes, instances)
          where u.web_service_id = any(${[...serviceIds]}::uuid[]) and u.hour > app_now() - ${seconds} * interval '1 second' - interval '1 hour') x
        where x.at > app_now() - ${seconds} * interval '1 second' order by x.at`,
  )
  const byService = Map.groupBy(found, ({ webServiceId }) => webServiceId)
  return serviceIds.map((id) => byService.get(id) ?? [])
}

/** Number of running instances of services, in the order of the ids. */
export async function countRunning(tx: Tx, serviceIds: readonly string[]): Promise<number[]> {
  const found = await rows<{ webServiceId: string; running: number }>(
    tx,
    sql`select web_service_id, count(*)::int as running from instance
        where web_service_id = any(${[...serviceIds]}::uuid[]) and status = 'RUNNING' group by web_service_id`,
  )
  const byService = new Map(found.map(({ webServiceId, running }) => [webServiceId, running]))
  return serviceIds.map((id) => byService.get(id) ?? 0)
}

export const expirePoints = (tx: Tx): Promise<number> =>
  run(tx, sql`delete from service_usage where hour < app_now() - ${historySeconds} * interval '1 second' - interval '1 hour'`)
