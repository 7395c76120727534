-- values: support. How many baskets have both of two items, and in how many of them one was promoted.
select
    a.code as a,
    b.code as b,
    cast(count(*) as bigint) as baskets,
    cast(sum(greatest(a.promoted, b.promoted)) as bigint) as promoted
from {sold} a inner join {sold} b on b.basket = a.basket and b.code > a.code
group by a.code, b.code
having count(*) >= :support
order by a, b
