-- CreateTable
CREATE TABLE "rate_limit" (
    "policy" TEXT NOT NULL,
    "principal" TEXT NOT NULL,
    "points" DOUBLE PRECISION NOT NULL,
    "refill" DOUBLE PRECISION NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "rate_limit_pkey" PRIMARY KEY ("policy","principal")
);

-- rate_limit_unlogged
ALTER TABLE rate_limit SET UNLOGGED;
