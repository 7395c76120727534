-- values: as_of, look (days). One row per switch (its number): purchase days of the category in so many days before and after it,
-- and how many of these were of the goods switched to, as known at the close of as_of.
with days as (
    select s.switch, s.day as switched_on, l.buy_day, max(case when {matches} then 1 else 0 end) as own
    from {switches} s
    join {lines} l on l.customer_id = s.customer_id and l.category = s.category
    where l.day <= :as_of and l.units > 0 and l.buy_day <= :as_of
        and l.buy_day <> s.day and l.buy_day between s.day - :look and s.day + :look
    group by s.switch, s.day, l.buy_day
)
select
    switch,
    sum(case when buy_day < switched_on then 1 else 0 end) as days_before,
    sum(case when buy_day < switched_on then own else 0 end) as own_before,
    sum(case when buy_day > switched_on then 1 else 0 end) as days_after,
    sum(case when buy_day > switched_on then own else 0 end) as own_after
from days
group by switch
order by switch
